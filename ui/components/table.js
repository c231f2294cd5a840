// Called by Streamlit whenever the data change. The elements stay, so rows that did not change are kept.

const LONG = 24; // What has more characters may be broken anywhere; a date or a PatientID may not.

export default function ({ parentElement, data, setTriggerValue }) {
  const place = parentElement.querySelector(".scroll");
  renewGrid(place, data);
  place.onclick = (event) => {
    const link = event.target.closest("a[data-row]");
    const asksForTab = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || asksForTab) return;
    event.preventDefault();
    setTriggerValue("picked", link.dataset.row);
  };
}

function renewGrid(place, grid) {
  const table = place.querySelector(":scope > table") ?? place.appendChild(emptyTable());
  table.setAttribute("aria-label", grid.caption);
  renew(table.tHead, [{ state: JSON.stringify(grid.columns), build: () => headRow(grid.columns) }]);
  renew(table.tBodies[0], grid.rows.flatMap((row) => bodyRows(row, grid.columns)));
}

// Replaces those children of `parent` whose state is another than it was.
function renew(parent, wanted) {
  wanted.forEach(({ state, build }, index) => {
    const present = parent.children[index];
    if (present?.dataset.state === state) return;
    const renewed = build();
    renewed.dataset.state = state;
    if (present) present.replaceWith(renewed);
    else parent.append(renewed);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

function emptyTable() {
  const table = element("table");
  table.append(element("thead"), element("tbody"));
  return table;
}

function headRow(columns) {
  const row = element("tr");
  for (const column of columns) {
    const cell = element("th", { scope: "col", className: sideOf(column), textContent: column.title });
    if (column.width) cell.style.width = column.width;
    row.append(cell);
  }
  return row;
}

function bodyRows({ details, ...row }, columns) {
  const isOpen = details !== null;
  const own = {
    state: JSON.stringify([row, columns, isOpen]),
    build: () => bodyRow(row, columns, isOpen),
  };
  if (!isOpen) return [own];
  return [own, { state: JSON.stringify(details), build: () => detailsRow(details, columns.length) }];
}

function bodyRow(row, columns, isOpen) {
  const line = element("tr", { className: isOpen ? "open" : "" });
  row.cells.forEach((cell, index) => {
    const place = element("td", { className: sideOf(columns[index]) });
    place.append(...CONTENTS[cell.kind](cell, row, isOpen));
    line.append(place);
  });
  return line;
}

function detailsRow(details, width) {
  const line = element("tr", { className: "details" });
  const place = element("td", { colSpan: width });
  renewGrid(place, details);
  line.append(place);
  return line;
}

const CONTENTS = {
  text: (cell) => [words("span", cell), ...notes(cell)],
  link: (cell, row, isOpen) => {
    const link = words("a", cell);
    link.href = cell.href;
    link.dataset.row = row.key;
    if (isOpen) link.setAttribute("aria-expanded", "true");
    return [link, ...notes(cell)];
  },
  badge: (cell) => [element("span", { className: `badge ${cell.tone}`, textContent: cell.value })],
  bar: (cell) => {
    const track = element("span", { className: `track ${cell.tone}` });
    const fill = element("span", { className: "fill" });
    fill.style.width = `${100 * cell.share}%`;
    track.append(fill);
    return [element("span", { textContent: cell.value }), track];
  },
};

function words(tag, cell) {
  const classes = ["value", ...(cell.code ? ["code"] : []), ...(cell.value.length > LONG ? ["long"] : [])];
  return element(tag, { className: classes.join(" "), textContent: cell.value });
}

function notes(cell) {
  return cell.notes.map((note) => element("span", { className: "note", textContent: note }));
}

function sideOf(column) {
  return column.numeric ? "numeric" : "";
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
