"use strict";
// With --interactive: each picture of a chart gives way to the chart itself, drawn without eval.
(() => {
  const options = {
    actions: false,
    ast: true,
    defaultStyle: false,
    mode: "vega",
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };
  for (const data of document.querySelectorAll("script.explored")) {
    const picture = data.parentElement.querySelector("img.chart");
    const place = document.createElement("div");
    place.className = "chart vega";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", picture.alt);
    picture.after(place);
    window.vegaEmbed(place, JSON.parse(data.textContent), options).then(
      () => {
        picture.hidden = true;
      },
      () => place.remove(),
    );
  }
})();
