// Runs a workflow in ComfyUI's frontend and takes a picture of its graph: the task comes as JSON on standard input,
// where everything is in the picture goes as JSON to standard output.
const fs = require("node:fs");
const { Frontend } = require("frontend.cjs");

const task = JSON.parse(fs.readFileSync(0, "utf8"));
const MARGIN = 24; // around the graph
const LINE = 30; // a node's title
const NOTHING_BUT_THE_GRAPH = `
  body * { visibility: hidden !important }
  #graph-canvas, .dom-widget, .dom-widget * { visibility: visible !important }
  video::-webkit-media-controls { display: none !important }`;

async function take({ name, workflow, api }, frontend) {
  const { page } = frontend;
  await forgetEarlierRuns();
  await page.route("**/prompt", (route) => route.continue({ postData: detected(route.request().postDataJSON()) }));
  await (api ? page.evaluate((prompt) => app.loadApiJson(prompt, "nodes"), api) : frontend.load(workflow));
  await frontend.settle();
  const problem = await run(page);
  await frontend.settle();
  if (api) await page.evaluate(inARow); // by now nodes are as large as what they show
  await frame(page);
  await loadPictures(page);
  await seekVideos(page, task.moment);
  await page.screenshot({ path: `${task.pictures}/${name}.png`, style: NOTHING_BUT_THE_GRAPH });
  return { problem, ...(await page.evaluate(places)) };
}

/** What ComfyUI has in its cache is not run again, and shows no chart. */
async function forgetEarlierRuns() {
  const body = JSON.stringify({ free_memory: true });
  await fetch(`${task.url}/free`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

/** Fits the graph into a viewport of its own shape. */
async function frame(page) {
  const [x, y, width, height] = await page.evaluate(
    ([margin, line]) => {
      const boxes = [
        ...app.graph.nodes.map(({ pos, size }) => [pos[0], pos[1] - line, pos[0] + size[0], pos[1] + size[1]]),
        ...app.graph.groups.map(({ pos, size }) => [pos[0], pos[1], pos[0] + size[0], pos[1] + size[1]]),
      ];
      const ends = [0, 1, 2, 3].map((i) => Math[i < 2 ? "min" : "max"](...boxes.map((box) => box[i])));
      return [ends[0] - margin, ends[1] - margin, ends[2] - ends[0] + 2 * margin, ends[3] - ends[1] + 2 * margin];
    },
    [MARGIN, LINE],
  );
  const scale = task.width / width;
  await page.setViewportSize({ width: task.width, height: Math.round(height * scale) });
  await page.evaluate(
    ([x, y, scale]) => {
      app.canvas.deselectAll();
      Object.assign(app.canvas.ds, { scale });
      app.canvas.ds.offset = [-x, -y];
      app.canvas.setDirty(true, true);
    },
    [x, y, scale],
  );
  await page.waitForTimeout(1000);
}

/** The same job with the true V-Kps of the examples, since the stand-ins for detectors see one face in all. */
function detected(job) {
  for (const node of Object.values(job.prompt)) {
    if (!["VExpressKpsFromLandmarks", "VExpressDetectKps"].includes(node.class_type)) continue;
    const file = [source(job.prompt, node), node.inputs.index || [], "json"].flat().join(".");
    if (!task.known.includes(file)) continue;
    node.class_type = "VExpressLoadKps";
    node.inputs = { file, width: 512, height: 512, fps: 30 };
  }
  return job;
}

/** The file that a node's pictures come from. */
function source(prompt, { class_type, inputs }) {
  if (inputs.image && !Array.isArray(inputs.image)) return inputs.image;
  if (inputs.file) return inputs.file;
  const link = ["landmarks", "image", "images", "video"].map((name) => inputs[name]).find(Array.isArray);
  if (!link) return "made here";
  return source(prompt, prompt[link[0]]) + (class_type === "Video Slice" ? ".slice" : "");
}

/** Runs the graph with the task's settings, and shows its own again. */
async function run(page) {
  await page.evaluate((settings) => {
    const nodes = (graph) => graph.nodes.flatMap((node) => [node, ...(node.subgraph ? nodes(node.subgraph) : [])]);
    const BYPASS = 4;
    window.before = [];
    const all = Object.assign({}, ...Object.values(settings));
    for (const node of nodes(app.graph))
      for (const widget of node.widgets ?? []) {
        const value = (node.subgraph ? all : settings[node.type])?.[widget.name];
        if (value === undefined) continue;
        window.before.push([widget, "value", widget.value]);
        widget.value = value;
      }
    for (const node of app.graph.nodes.filter(({ type }) => !LiteGraph.registered_node_types[type])) {
      window.before.push([node, "mode", node.mode]);
      node.mode = BYPASS; // the pack it comes from is not here
    }
    window.ended = new Promise((resolve) => {
      app.api.addEventListener("execution_success", () => resolve(null), { once: true });
      app.api.addEventListener("execution_error", ({ detail }) => resolve(detail.exception_message), { once: true });
    });
  }, task.settings);
  const sent = page.waitForResponse((response) => response.url().endsWith("/prompt"), { timeout: 10000 });
  await page.evaluate(() => void app.queuePrompt(0, 1));
  const answer = await sent.catch(() => null);
  await page.evaluate(() => window.before.forEach(([owner, key, value]) => (owner[key] = value)));
  if (!answer?.ok()) return answer ? await answer.text() : "The frontend did not send it.";
  return page.evaluate(() => window.ended);
}

function inARow() {
  let x = 0;
  for (const node of app.graph.nodes) {
    node.pos = [x, 0];
    x += node.size[0] + 100;
  }
}

/** Waits until every node shows the pictures or the video that it gave. */
async function loadPictures(page) {
  await page.waitForFunction(() => {
    app.canvas.setDirty(true, true); // the frontend loads what it draws
    return app.graph.nodes.every((node) => {
      if (!app.nodeOutputs[node.id]?.images?.length) return true;
      const videos = (node.widgets ?? []).map((widget) => widget.element?.querySelector?.("video")).filter(Boolean);
      return node.imgs?.every((image) => image.naturalWidth) || videos.some((video) => video.readyState > 1);
    });
  });
}

async function seekVideos(page, moment) {
  await page.evaluate(async (moment) => {
    for (const video of document.querySelectorAll(".dom-widget video[src]")) {
      const sought = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
      video.currentTime = Math.min(moment, video.duration / 2);
      await sought;
    }
    document.activeElement?.blur();
  }, moment);
  await page.waitForTimeout(500);
}

/** By type, the box of each node in the picture: x, y, width, height; the same of saved videos. */
function places() {
  const { ds } = app.canvas;
  const nodes = {};
  for (const { type, pos, size } of app.graph.nodes) {
    const [x, y] = ds.convertOffsetToCanvas([pos[0], pos[1] - 30]);
    (nodes[type] ??= []).push([x, y, size[0] * ds.scale, (size[1] + 30) * ds.scale]);
  }
  const saved = [...document.querySelectorAll(".dom-widget video[src*='type=output']")];
  const videos = saved.map((video) => {
    const { x, y, width, height } = video.getBoundingClientRect();
    return { src: video.src, box: [x, y, width, height] };
  });
  return { nodes, videos, scale: ds.scale };
}

async function main() {
  const frontend = await Frontend.open({ ...task, viewport: { width: task.width, height: 900 }, scale: task.sharpness });
  await frontend.start({ "Comfy.Graph.CanvasInfo": false });
  const taken = await take(task, frontend);
  await frontend.browser.close();
  console.log(JSON.stringify(taken));
}

main();
