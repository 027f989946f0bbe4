"""Mail: mbox files, single mails, Maildir folders."""
