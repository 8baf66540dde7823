// What the page knows of the report. The order of the numbers in a list is that of `island.py`,
// `frames.py` and `records.py`.

function frameOf(number) {
  if (number === null || number === undefined) return null;
  const [file, line, column, name, before, expression, after] = data.frames[number];
  return { file: data.files[file], line, column, name, before, expression, after };
}

function lineFrame(block, line) {
  const [, , , number, before, expression, after] = line;
  const file = block[1] === null ? "" : data.files[block[1]];
  return { file, line: number, name: block[0], before, expression, after };
}

const placeOf = (frame) => [frame.file, frame.line, frame.column].filter(Boolean).join(":");

// The line of a frame with its expression marked, as `markup.py` makes it for the page.
function codeOf(frame) {
  const caption = make("figcaption", {}, make("span", { class: "place" }, placeOf(frame)));
  if (frame.name) caption.append(" in ", make("code", {}, frame.name));
  const figure = make("figure", { class: "code" }, caption);
  if (frame.expression === undefined) return figure;
  const number = make("span", { class: "line" }, frame.line);
  const text = make(
    "code",
    {},
    number,
    frame.before,
    make("mark", {}, frame.expression),
    frame.after,
  );
  figure.append(make("pre", {}, text));
  return figure;
}
