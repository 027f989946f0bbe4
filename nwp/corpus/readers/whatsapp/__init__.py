"""WhatsApp's text exports."""
