// Before anything is drawn: the theme chosen before, else the system's.
(() => {
  try {
    const theme = localStorage.getItem("nwp-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage allowed: the system's, then.
  }
})();
