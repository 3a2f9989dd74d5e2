"use strict";

const data = JSON.parse(document.getElementById("report-data").textContent);
const SVG = "http://www.w3.org/2000/svg";

// The threshold: its line, its rates and what it means.
for (const [key, stops] of Object.entries(data.sliders)) {
  const figure = document.getElementById(key);
  const line = document.createElementNS(SVG, "line");
  line.setAttribute("class", "threshold");
  line.setAttribute("y1", figure.dataset.top);
  line.setAttribute("y2", figure.dataset.bottom);
  figure.querySelector("svg").append(line);
  const range = figure.querySelector("input");
  const show = () => {
    const stop = stops[Number(range.value)];
    line.setAttribute("x1", stop.place);
    line.setAttribute("x2", stop.place);
    range.setAttribute("aria-valuetext", stop.threshold);
    figure.querySelector("output").textContent = stop.threshold;
    figure.querySelector(".means").replaceChildren(...stop.means.map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }));
    figure.querySelectorAll(".rates dd").forEach((cell, place) => {
      cell.textContent = stop.cells[place];
    });
  };
  range.addEventListener("input", show);
  show();
}

// The map: everything of the person under the pointer.
for (const map of document.querySelectorAll("svg.map")) {
  const points = [...map.querySelectorAll("[data-person]")];
  const light = (person) => {
    map.classList.toggle("one", person !== undefined);
    for (const point of points) point.classList.toggle("lit", point.dataset.person === person);
  };
  map.addEventListener("pointerover", (event) => light(event.target.dataset.person));
  map.addEventListener("pointerleave", () => light(undefined));
}

// On paper everything is unfolded.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
