// Opens workflows in ComfyUI's frontend, one after the other: node open_workflows.cjs URL CHROMIUM WORKFLOW.json...
// Prints as JSON what the frontend makes of each. Finds playwright-core through NODE_PATH.
const fs = require("node:fs");
const { chromium } = require("playwright-core");

const [url, executablePath, ...workflows] = process.argv.slice(2);
const QUIET_MS = 2000;

async function settle(page, errors) {
  for (let before = -1; before !== errors.length; ) {
    before = errors.length;
    await page.waitForTimeout(QUIET_MS);
  }
}

async function open(page, errors, workflow) {
  errors.length = 0;
  await page.evaluate((graph) => app.loadGraphData(graph), JSON.parse(fs.readFileSync(workflow, "utf8")));
  await settle(page, errors);
  const result = await page.evaluate(async () => ({
    nodes: app.graph.nodes.map((node) => node.type),
    missing: app.graph.nodes.filter((node) => !LiteGraph.registered_node_types[node.type]).map((node) => node.type),
    complaints: document.body.innerText.match(/missing (node|model|media)[^\n]*/gi) ?? [],
    prompt: (await app.graphToPrompt()).output,
  }));
  return { ...result, errors: [...errors] };
}

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1900, height: 1000 } });
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => window.app?.graph && LiteGraph.registered_node_types["VExpressSampler"]);
  await settle(page, errors); // an empty ComfyUI's own complaints

  const opened = {};
  for (const workflow of workflows) opened[workflow] = await open(page, errors, workflow);
  await browser.close();
  console.log(JSON.stringify(opened));
}

main();
