// Sorts a table by a column when its heading is pressed; again, in the other order.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const value = (row) => {
      const cell = row.cells[column];
      return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent.trim();
    };
    // cells without a value stay last in both orders
    const compare = (a, b, sign) => {
      if (a === "-" || b === "-") return (a === "-") - (b === "-");
      if (typeof a === "number" ? typeof b === "number" : false) return sign * (a - b);
      return sign * String(a).localeCompare(String(b), "en", { numeric: true });
    };
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((a, b) => compare(value(a), value(b), falls ? -1 : 1));
      body.append(...rows);
    });
  });
}
