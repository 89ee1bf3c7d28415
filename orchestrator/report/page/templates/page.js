"use strict";
// Draws the charts that the page carries. Where that cannot be done its pictures and tables stay.
(async () => {
  const packed = (id) => document.getElementById(id);
  if (!packed("plotly") || !window.DecompressionStream) return;
  const unpacked = async (id) => {
    const bytes = Uint8Array.from(atob(packed(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const root = document.documentElement;
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  const charts = JSON.parse(await unpacked("charts"));
  const plots = [...document.querySelectorAll(".plot")];
  root.classList.add("live");

  // Colours that depend on light and dark are written as var(--name).
  const coloured = (value, style) => {
    if (typeof value === "string")
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    if (Array.isArray(value)) return value.map((each) => coloured(each, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
  };
  const config = { displaylogo: false, responsive: true, showTips: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const draw = (plot) => {
    const style = getComputedStyle(root);
    const { data, layout } = coloured(charts[plot.dataset.chart], style);
    return Plotly.react(plot, data, { ...layout, uirevision: 1 }, config);
  };
  const drawAll = () => plots.map(draw);

  // One scale of colours for several maps, or one for each.
  const own = charts.map(({ data }) => [data[0]?.zmin, data[0]?.zmax]);
  const scaleMaps = (isOne) => {
    const shared = plots.map((plot) => plot.dataset.chart).filter((i) => charts[i].scale);
    const low = Math.min(...shared.map((i) => own[i][0]));
    const high = Math.max(...shared.map((i) => own[i][1]));
    for (const i of shared)
      [charts[i].data[0].zmin, charts[i].data[0].zmax] = isOne ? [low, high] : own[i];
  };
  const oneScale = packed("one-scale");
  if (oneScale) scaleMaps(oneScale.checked);
  oneScale?.addEventListener("change", () => {
    scaleMaps(oneScale.checked);
    drawAll();
  });
  for (const plot of plots) {
    await draw(plot);
    await new Promise((resolve) => setTimeout(resolve));
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // Paper is white, and nothing on it can be opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("light");
    drawAll();
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    root.classList.remove("light");
    drawAll();
    for (const details of opened) details.open = false;
  });
  root.dataset.drawn = plots.length;
})();
