// What somebody sees who uses the pack in ComfyUI's frontend, with mouse and keyboard: the task comes as JSON on
// standard input, what each step has seen goes as JSON to standard output. test_browser.py says what it should be.
const fs = require("node:fs");
const { Frontend } = require("frontend.cjs");

const task = JSON.parse(fs.readFileSync(0, "utf8"));
const CLASSIC = { "Comfy.VueNodes.Enabled": false, "Comfy.Execution.PreviewMethod": "default" }; // the server keeps settings
const EMPTY = { version: 0.4, nodes: [], links: [], groups: [], config: {}, extra: {} };
const workflow = (path) => JSON.parse(fs.readFileSync(path, "utf8"));

const steps = {
  async templates(frontend, page) {
    await page.getByRole("button", { name: "Templates", exact: true }).click();
    await page.getByRole("button").filter({ hasText: /^v-express$/ }).click();
    const cards = page.locator("[data-testid^=template-workflow-]");
    await cards.getByText("portrait_and_voice", { exact: true }).waitFor();
    await frontend.settle();
    await picture(page, "templates");
    const names = await cards.evaluateAll((cards) => cards.map((card) => card.dataset.testid.replace("template-workflow-", "")));
    const broken = await cards.locator("img").evaluateAll((images) => images.filter((image) => !image.naturalWidth).length);
    await page.getByTestId("template-workflow-portrait_and_voice").click();
    await page.waitForFunction(() => app.graph.nodes.some((node) => node.type === "VExpressSampler"));
    await frontend.settle();
    await picture(page, "opened_from_a_card");
    return { cards: names, broken, ...(await graph(frontend)) };
  },

  async run(frontend, page) {
    await frontend.load(workflow(task.short_workflow));
    await frontend.fit();
    await page.getByTestId("queue-button").click();
    const shown = await page.waitForFunction(savedVideo);
    await page.waitForTimeout(500); // the canvas makes room for it
    await picture(page, "video");
    const video = await shown.evaluate(({ src, duration, videoWidth, videoHeight, error }) => ({ src, duration, videoWidth, videoHeight, error }));
    return { ...(await graph(frontend)), video };
  },

  async search(frontend, page) {
    return {
      "lip sync": await search(frontend, page, "lip sync", "search_lip_sync"),
      "talking head": await search(frontend, page, "talking head", "search_talking_head"),
    };
  },

  async help(frontend, page) {
    const text = await help(frontend, page);
    await picture(page, "help");
    return text;
  },

  async wrong_wire(frontend, page) {
    await frontend.load(workflow(task.photo_workflow));
    await page.mouse.move(...(await frontend.whereIs("LoadImage", { output: "IMAGE" })));
    await page.mouse.down();
    await page.mouse.move(...(await frontend.whereIs("VExpressEncodeReference", { input: "image" })), { steps: 10 });
    await page.mouse.up();
    await page.getByTestId("queue-button").click();
    const overlay = page.getByTestId("error-overlay");
    await overlay.waitFor();
    const said = await overlay.innerText();
    await overlay.getByRole("button", { name: "View details" }).click();
    const panel = page.getByTestId("properties-panel");
    await panel.getByText("Error Details").waitFor();
    await picture(page, "error");
    return { said, details: await panel.innerText() };
  },

  async workflows(frontend, page) {
    const seen = {};
    for (const path of task.workflows) {
      frontend.errors.length = 0;
      await frontend.load(workflow(path));
      const prompt = await page.evaluate(async () => (await app.graphToPrompt()).output);
      seen[path] = { ...(await graph(frontend)), prompt };
    }
    await picture(page, "opened");
    return seen;
  },

  async chinese(frontend, page) {
    const text = await help(frontend, page);
    await picture(page, "chinese_help");
    const { found } = await search(frontend, page, "VExpressSampler", "chinese_search");
    return { found, help: text };
  },
};

/** The video on Save Video, once it can be played. */
function savedVideo() {
  const { widgets } = app.graph.nodes.find((node) => node.type === "SaveVideo");
  return widgets.map((widget) => widget.element?.querySelector?.("video")).find((video) => video?.readyState > 1);
}

async function picture(page, name) {
  await page.screenshot({ path: `${task.pictures}/${name}.png` });
}

/** The graph on the canvas, and everything that somebody would take for a fault. */
async function graph(frontend) {
  const seen = await frontend.page.evaluate(() => ({
    nodes: app.graph.nodes.map((node) => node.type).sort(),
    missing: app.graph.nodes.filter((node) => !LiteGraph.registered_node_types[node.type]).map((node) => node.type),
    complaints: [
      ...(document.body.innerText.match(/missing (node|model|media)[^\n]*/gi) ?? []),
      ...[...document.querySelectorAll(".p-toast-message-error, [data-testid=error-overlay]")].map((e) => e.innerText),
    ],
  }));
  return { ...seen, errors: [...frontend.errors] };
}

/** What the search box finds, and puts on the empty canvas. */
async function search(frontend, page, words, name) {
  await frontend.load(EMPTY);
  const { width, height } = page.viewportSize();
  await page.mouse.dblclick(width / 2, height / 2);
  await page.locator("[role=listbox]").waitFor();
  await page.keyboard.type(words);
  await page.waitForTimeout(700); // results come as one types
  const found = await page.getByTestId("result-item").allInnerTexts();
  await picture(page, name);
  await page.keyboard.press("Enter");
  await page.locator("[role=listbox]").waitFor({ state: "hidden" });
  await page.mouse.click(width / 2, height / 2); // until then the node hangs on the mouse
  await page.waitForFunction(() => app.graph.nodes.length);
  return { found, added: await page.evaluate(() => app.graph.nodes.map((node) => node.title)) };
}

/** The page that the info button of a selected V-Express Sampler shows. */
async function help(frontend, page) {
  await frontend.load(workflow(task.short_workflow));
  await frontend.fit();
  await page.mouse.move(...(await frontend.whereIs("VExpressSampler")));
  await page.waitForTimeout(100);
  await page.mouse.down();
  await page.waitForTimeout(100);
  await page.mouse.up();
  await page.getByTestId("info-button").click();
  const shown = page.locator(".node-help-content");
  await shown.waitFor();
  await frontend.settle();
  return { text: await shown.innerText(), broken: await shown.evaluate(brokenImages) };
}

function brokenImages(element) {
  return [...element.querySelectorAll("img")].filter((image) => !image.naturalWidth).map((image) => image.src);
}

async function main() {
  const frontend = await Frontend.open({ ...task, viewport: { width: 1600, height: 900 } });
  const seen = {};
  let fresh = false; // starting takes seconds
  for (const [name, step] of Object.entries(steps)) {
    try {
      if (name === "chinese") await frontend.start({ ...CLASSIC, "Comfy.Locale": "zh" });
      else if (!fresh) await frontend.start({ ...CLASSIC, "Comfy.Locale": "en" });
      fresh = true;
      frontend.errors.length = 0;
      seen[name] = await step(frontend, frontend.page);
    } catch (error) {
      fresh = false;
      seen[name] = { failed: String(error.stack) };
      await picture(frontend.page, `failed_${name}`);
    }
  }
  await frontend.browser.close();
  console.log(JSON.stringify(seen));
}

main();
