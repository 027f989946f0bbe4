// Before anything is drawn: the theme of ?theme=, else the one chosen before, else the system's.
(() => {
  let theme = new URLSearchParams(location.search).get("theme");
  try {
    theme ||= localStorage.getItem("nwp-theme");
  } catch {
    // No storage for files, or none allowed: the system's, then.
  }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
