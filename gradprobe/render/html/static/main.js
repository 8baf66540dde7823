// Each part is made by itself: one that fails is told in its place, and the others go on.

function attempt(section, setUp) {
  try {
    setUp();
  } catch (fault) {
    byId(section)?.append(
      make("p", { class: "faint" }, `This part could not be shown: ${fault.message}`),
    );
    console.error(fault);
  }
}

attempt("theme", setUpTheme);
attempt("picture", setUpPicture);
attempt("steps", setUpSteps);
attempt("charts", setUpCharts);
attempt("records", setUpTable);

for (const show of document.querySelectorAll("button[data-finding]")) {
  const number = Number(show.dataset.finding);
  if (!data.findings[number]) continue;
  show.hidden = false;
  show.textContent = drawnAt(number) ? "Show in picture" : "Show source";
  show.addEventListener("click", () => showInPicture(number) || showFinding(number));
}

function drawnAt(finding) {
  return data.levels.some(
    ({ boxes, arrows: cut }) =>
      boxes.some((box) => box.finding === finding) || cut.some(([, , , of]) => of === finding),
  );
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeDrawer();
  const writing = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("search")?.focus();
  }
});
document.documentElement.classList.add("ready");
