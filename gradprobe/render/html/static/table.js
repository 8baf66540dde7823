// The hook records: sorted by any column, filtered by words and by state, fifty to a page, so that
// a run of a thousand steps is as quick as one of four.

const PAGE = 50;
const table = { rows: [], shown: [], page: 0, by: null, down: false };

// A column: its title, what it is sorted by, what a cell shows; `number` stands to the right.
function columns() {
  const { strings, leaves } = data.records;
  const number = (title, at, tell = short) => ({
    title,
    number: true,
    key: (r) => r[at],
    show: (r) => tell(r[at]),
  });
  const text = (title, at) => ({
    title,
    key: (r) => strings[r[at]],
    show: (r) => make("bdi", {}, strings[r[at]]),
  });
  const place = (row) => {
    const frame = frameOf(row[13]);
    return frame ? placeOf({ ...frame, file: frame.file.split("/").pop(), column: 0 }) : "";
  };
  return [
    number("step", 0),
    ...(data.records.rows.some((r) => r[1]) ? [number("call", 1)] : []),
    number("sigma", 2),
    { ...text("stage", 3), main: true },
    ...leaves.map((leaf, n) => ({
      title: leaf,
      of: "gradient to ",
      key: (r) => strings[r[4][n][1]],
      show: (r) => stateTag(r[4][n][0], strings[r[4][n][1]]),
    })),
    number("|grad|", 7),
    number("zeros", 8, (n) => (typeof n === "number" ? `${short(n * 100)}%` : short(n))),
    number("mean", 9),
    number("std", 10),
    number("max |x|", 11),
    text("tensor", 5),
    text("grad_fn", 6),
    { title: "line", key: place, show: (r) => make("bdi", {}, place(r)) },
  ];
}

function setUpTable() {
  const section = byId("records");
  const { rows, left_out: left, strings } = data.records;
  section.querySelector("h2").append(" ", make("span", { class: "count" }, rows.length + left));
  if (!rows.length) {
    section.append(make("p", { class: "faint" }, "No stage was recorded."));
    return;
  }
  table.columns = columns();
  table.texts = rows.map((row) => {
    const at = frameOf(row[13]);
    const words = [
      strings[row[3]],
      ...row[4].map(([, n]) => strings[n]),
      strings[row[5]],
      strings[row[6]],
      strings[row[12]],
    ];
    if (row[0] !== null) words.push(`step ${row[0]}`, `step=${row[0]};`);
    if (at) words.push(placeOf(at), at.name);
    return words.join(" ").toLowerCase();
  });
  table.rows = rows.map((_, number) => number);
  section.append(filters(), body(), pager());
  if (left)
    section.append(
      make(
        "p",
        { class: "faint" },
        `${counted(left, "record")} more; the JSON report has them all.`,
      ),
    );
  filter();
}

function filters() {
  table.words = make("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter: denoised, step=3, lost \u2026",
    "aria-label": "Filter the records",
    autocomplete: "off",
    spellcheck: "false",
    oninput: filter,
  });
  const states = [
    ...new Set(data.records.rows.flatMap((row) => row[4].map(([, n]) => data.records.strings[n]))),
  ].sort();
  table.state = make(
    "select",
    { "aria-label": "State of the gradient", onchange: filter },
    make("option", { value: "" }, "any state"),
    ...states.map((word) => make("option", { value: word }, word)),
  );
  table.count = make("output", { class: "faint", for: "filter" });
  return make("div", { class: "tools" }, table.words, table.state, table.count);
}

function body() {
  table.heads = table.columns.map((column, number) => {
    const sort = button(column.title, () => sortBy(number));
    sort.prepend(column.of ? make("span", { class: "spoken" }, column.of) : "");
    return make(
      "th",
      { scope: "col", class: column.number ? "number" : null, "aria-sort": "none" },
      sort,
    );
  });
  table.body = make("tbody", { onclick: (e) => open_(e.target.closest("tr")) });
  const whole = make(
    "table",
    {},
    make("caption", { class: "spoken" }, "Hook records, one a row"),
    make("thead", {}, make("tr", {}, ...table.heads)),
    table.body,
  );
  return make(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Hook records" },
    whole,
  );
}

function pager() {
  const turn = (by) => () => {
    table.page += by;
    draw();
  };
  table.first = button(
    "\u00ab",
    () => {
      table.page = 0;
      draw();
    },
    { "aria-label": "First page" },
  );
  table.before = button("\u2039", turn(-1), { "aria-label": "Previous page" });
  table.next = button("\u203a", turn(1), { "aria-label": "Next page" });
  table.last = button(
    "\u00bb",
    () => {
      table.page = Infinity;
      draw();
    },
    { "aria-label": "Last page" },
  );
  table.where = make("span", { class: "faint" });
  return make(
    "div",
    { class: "pager" },
    table.first,
    table.before,
    table.where,
    table.next,
    table.last,
  );
}

function filter() {
  const wanted = table.words.value
    .trim()
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => (/^step=\d+$/.test(word) ? `${word};` : word));
  const state = table.state.value;
  const { rows, strings } = data.records;
  table.shown = table.rows.filter(
    (number) =>
      wanted.every((word) => table.texts[number].includes(word)) &&
      (!state || rows[number][4].some(([, n]) => strings[n] === state)),
  );
  table.page = 0;
  order();
}

function sortBy(number) {
  if (table.by !== number) [table.by, table.down] = [number, false];
  else if (!table.down) table.down = true;
  else table.by = null; // a third time: as they came
  table.page = 0;
  order();
}

function order() {
  const { rows } = data.records;
  if (table.by === null) table.shown.sort((a, b) => a - b);
  else {
    const { key } = table.columns[table.by];
    const keys = new Map(table.shown.map((number) => [number, sortable(key(rows[number]))]));
    const sign = table.down ? -1 : 1;
    table.shown.sort((a, b) => compare(keys.get(a), keys.get(b), sign) || a - b);
  }
  table.heads.forEach((head, number) => {
    const way = number !== table.by ? "none" : table.down ? "descending" : "ascending";
    head.setAttribute("aria-sort", way);
  });
  draw();
}

// Numbers that JSON has no word for come as words: NaN is worse than any number.
const sortable = (value) =>
  value === "inf"
    ? Infinity
    : value === "-inf"
      ? -Infinity
      : value === "nan"
        ? Number.MAX_VALUE
        : value;

// What is not known comes last, whichever way.
function compare(a, b, sign) {
  const [none, other] = [a === null || a === "", b === null || b === ""];
  if (none || other) return none - other;
  return (
    sign *
    (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)))
  );
}

function draw() {
  const pages = Math.max(Math.ceil(table.shown.length / PAGE), 1);
  table.page = Math.max(0, Math.min(pages - 1, table.page));
  const here = table.shown.slice(table.page * PAGE, (table.page + 1) * PAGE);
  table.body.replaceChildren(...here.map(row));
  const [first, last] = [table.page * PAGE + 1, table.page * PAGE + here.length];
  table.where.textContent = here.length ? `${first}\u2013${last} of ${table.shown.length}` : "none";
  table.count.textContent = `${table.shown.length} of ${table.rows.length}`;
  table.first.disabled = table.before.disabled = table.page === 0;
  table.last.disabled = table.next.disabled = table.page === pages - 1;
}

function row(number) {
  const record = data.records.rows[number];
  const cells = table.columns.map((column) => {
    const shown = column.show(record);
    if (!column.main) return make("td", { class: column.number ? "number" : null }, shown);
    return make(
      "th",
      { scope: "row" },
      button(shown, () => {}, { class: "open" }),
    );
  });
  return make("tr", { "data-record": number }, ...cells);
}

function open_(line) {
  if (!line) return;
  const record = data.records.rows[line.dataset.record];
  const { strings, leaves } = data.records;
  const at = frameOf(record[13]);
  openDrawer(
    strings[record[3]],
    make(
      "p",
      {},
      ...leaves.flatMap((_, n) => [stateTag(record[4][n][0], strings[record[4][n][1]]), " "]),
    ),
    at && codeOf(at),
    facts([
      ["step", record[0]],
      ["call", record[1]],
      ["sigma", short(record[2])],
      ["tensor", strings[record[5]]],
      ["grad_fn", strings[record[6]]],
      ["gradient norm", short(record[7])],
      ["mean", short(record[9])],
      ["standard deviation", short(record[10])],
      ["largest value", short(record[11])],
      ["named by", NAMED[strings[record[12]]]],
    ]),
    record[0] !== null &&
      hasStep(record[0]) &&
      button(
        "Go to its ops",
        () => {
          closeDrawer();
          goToStep(record[0]);
        },
        { class: "into" },
      ),
  );
}

const NAMED = { declared: "you", adapted: "the library's adapter", discovered: "the dataflow" };
