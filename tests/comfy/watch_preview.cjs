// Runs a workflow in ComfyUI's frontend and looks at what the pack's scripts do there:
// node watch_preview.cjs URL CHROMIUM classic|vue WORKFLOW.json [SCREENSHOT_PREFIX]
// Prints JSON. Finds playwright-core through NODE_PATH.
const fs = require("node:fs");
const { chromium } = require("playwright-core");

const [url, executablePath, mode, workflow, prefix] = process.argv.slice(2);
const SAMPLER = "VExpressSampler";
const LONG = "One sentence of many words that a node has to say while it works, which is longer than two lines. ".repeat(3);

// Before anything else in the page: which animations it was given, and which of them it still holds.
function keepCount() {
  window.animations = [];
  window.made = new Set();
  window.held = new Set();
  window.images = () => [...document.querySelectorAll("img")].filter((image) => window.made.has(image.src));
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (blob) => {
    const made = createObjectURL.call(URL, blob);
    if (blob.type === "image/webp") {
      window.animations.push(blob);
      window.made.add(made);
      window.held.add(made);
    }
    return made;
  };
  URL.revokeObjectURL = (made) => {
    window.held.delete(made);
    revokeObjectURL.call(URL, made);
  };
}

const saved = (page) =>
  page.evaluate(async () => {
    const { nodes, definitions } = app.graph.serialize();
    const inner = (definitions?.subgraphs ?? []).flatMap((subgraph) => subgraph.nodes);
    const values = [...nodes, ...inner].map((node) => [node.id, node.widgets_values ?? null, node.properties.proxyWidgets ?? null]);
    return [...values, ...Object.entries((await app.graphToPrompt()).output)].map((value) => JSON.stringify(value));
  });

async function start(page, seed) {
  await page.evaluate(
    ([type, seed]) => {
      const around = (graph) =>
        graph.nodes.flatMap((node) => (node.subgraph ? [node, ...around(node.subgraph)] : node.type === type ? [node] : []));
      const widgets = around(app.graph).flatMap((node) => node.widgets ?? []); // a subgraph has the sampler's too
      for (const widget of widgets.filter((widget) => widget.name === "seed")) widget.value = seed;
    },
    [SAMPLER, seed],
  );
  const before = await saved(page);
  await page.evaluate(() => {
    window.ended = "";
    window.animations.length = 0;
    for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
      app.api.addEventListener(kind, () => (window.ended = kind), { once: true });
    app.queuePrompt(0);
  });
  return before;
}

async function watch(page, seed, name) {
  const before = await start(page, seed);
  await page.waitForFunction(() => window.images()[0]?.clientWidth, null, { timeout: 120000 });
  await page.waitForFunction(() => window.animations.length > 1 || window.ended, null, { timeout: 120000 });
  const pictures = new Set();
  for (let look = 0; look < 12 && pictures.size < 3; look++) {
    const image = await page.evaluateHandle(() => window.images()[0]);
    pictures.add((await image.asElement().screenshot()).toString("base64"));
    await page.waitForTimeout(70);
  }
  if (prefix) await page.screenshot({ path: `${prefix}_${mode}_${name}.png` });
  const during = await saved(page);
  await page.waitForFunction(() => window.ended, null, { timeout: 240000 });
  await page.waitForTimeout(1500);
  const seen = await page.evaluate(async () => ({
    ended: window.ended,
    frames: await Promise.all(
      window.animations.map(async (blob) => {
        const decoder = new ImageDecoder({ data: await blob.arrayBuffer(), type: blob.type });
        await decoder.tracks.ready;
        return decoder.tracks.selectedTrack.frameCount;
      }),
    ),
    shown: window.images().length,
    held: window.held.size,
    widgets: app.canvas.graph.nodes.flatMap((node) => node.widgets ?? []).filter((widget) => widget.name === "v-express-preview").length,
  }));
  return { ...seen, moved: pictures.size > 2, changed: [...during, ...(await saved(page))].filter((value) => !before.includes(value)) };
}

const colours = (page) =>
  page.evaluate(() => ({
    dot: app.canvas.default_connection_color_byType.VEXPRESS_KPS,
    link: LGraphCanvas.link_type_colors.VEXPRESS_KPS,
    vue: getComputedStyle(document.documentElement).getPropertyValue("--color-datatype-VEXPRESS_KPS").trim(),
    others: app.canvas.default_connection_color_byType.LATENT,
  }));

async function palettes(page) {
  const found = {};
  for (const palette of ["light", "nord", "dark"]) {
    await page.evaluate((palette) => app.extensionManager.setting.set("Comfy.ColorPalette", palette), palette);
    await page.waitForTimeout(500);
    found[palette] = await colours(page);
  }
  return found;
}

const look = (page) =>
  page.evaluate((type) => {
    const { pos } = app.canvas.graph.nodes.find((node) => node.type === type);
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [800 - pos[0], 150 - pos[1]];
    app.canvas.setDirty(true, true);
  }, SAMPLER);

// How much of a long text is hidden on the node.
async function text(page) {
  await page.evaluate(
    ([type, text]) => {
      const { id } = app.graph.nodes.find((node) => node.type === type);
      app.api.dispatchCustomEvent("progress_text", { nodeId: String(id), text });
    },
    [SAMPLER, LONG],
  );
  await page.waitForTimeout(1000);
  if (prefix) await page.screenshot({ path: `${prefix}_${mode}_text.png` });
  return page.evaluate((start) => {
    const found = [...document.querySelectorAll("div.overflow-y-auto")].find((div) => div.textContent.includes(start));
    const room = found.parentElement.getBoundingClientRect().bottom;
    return { hidden: found.scrollHeight - found.clientHeight, over: found.getBoundingClientRect().bottom - room };
  }, LONG.slice(0, 40));
}

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1900, height: 1100 } });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.addInitScript(keepCount);
  await page.goto(url);
  await page.waitForFunction(() => window.app?.canvas?.graph && LiteGraph.registered_node_types["VExpressSampler"]);
  await page.waitForTimeout(2000);
  await page.keyboard.press("Escape"); // the templates that a new user is shown
  await page.evaluate(async (vue) => {
    await app.extensionManager.setting.set("Comfy.VueNodes.Enabled", vue);
    await app.extensionManager.setting.set("Comfy.Execution.PreviewMethod", "latent2rgb");
  }, mode === "vue");
  await page.evaluate((graph) => app.loadGraphData(graph), JSON.parse(fs.readFileSync(workflow, "utf8")));
  await page.waitForTimeout(2000);
  await look(page);
  const result = { first: await watch(page, 1, "first"), second: await watch(page, 2, "second") };
  result.text = await text(page);
  await page.evaluate((type) => {
    const node = app.graph.nodes.find((node) => node.type === type);
    const { subgraph } = app.graph.convertToSubgraph(new Set([node]));
    app.canvas.setGraph(subgraph);
  }, SAMPLER);
  await page.waitForTimeout(1500);
  await look(page);
  result.subgraph = await watch(page, 3, "subgraph");
  result.palettes = await palettes(page);
  await browser.close();
  console.log(JSON.stringify({ ...result, errors }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
