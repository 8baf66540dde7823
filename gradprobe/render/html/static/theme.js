// Light or dark: as the system has it, until the reader says otherwise. What they say is kept where
// the browser allows it; for a file it may not.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const onTheme = [];

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
};

// A colour as the page has it now, for what is drawn on a canvas.
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function kept(value) {
  try {
    if (value) localStorage.setItem("gradprobe-theme", value);
    return localStorage.getItem("gradprobe-theme");
  } catch {
    return null;
  }
}

function setUpTheme() {
  const toggle = byId("theme");
  const tell = () => {
    toggle.textContent = isDark() ? "\u263c Light" : "\u263d Dark";
    onTheme.forEach((redraw) => redraw());
  };
  const before = kept();
  if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
  toggle.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    kept(document.documentElement.dataset.theme);
    tell();
  });
  dark.addEventListener("change", tell);
  toggle.hidden = false;
  tell();
}
