// ComfyUI's real frontend in Chromium, for tests and pictures. Finds playwright-core through NODE_PATH.
const { chromium } = require("playwright-core");

const TIDY = {
  "Comfy.TutorialCompleted": true, // else Templates open by themselves
  "Comfy.RightSidePanel.IsOpen": false,
  "Comfy.Minimap.Visible": false,
  "Comfy.Workflow.Persist": false, // the last workflow, when the page is loaded anew
  "LiteGraph.Canvas.MinFontSizeForLOD": 0, // text stays when zoomed out
};
const QUIET_MS = 500;
const SETTLED_AFTER_MS = 15000; // at the latest
const PATIENCE_MS = 60000;

class Frontend {
  static async open({ url, chromium: executablePath, viewport, scale = 1 }) {
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    const page = await browser.newPage({ viewport, deviceScaleFactor: scale });
    page.setDefaultTimeout(PATIENCE_MS);
    return new Frontend(browser, page, url);
  }

  constructor(browser, page, url) {
    Object.assign(this, { browser, page, url, errors: [], lastStir: 0 });
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
    page.on("pageerror", (error) => this.errors.push(String(error)));
    for (const event of ["request", "requestfinished", "requestfailed", "console"])
      page.on(event, () => (this.lastStir = Date.now()));
  }

  /** Loads the page anew, and forgets what an empty ComfyUI itself complains of. */
  async start(settings = {}) {
    for (const [key, value] of Object.entries({ ...TIDY, ...settings }))
      await fetch(`${this.url}/api/settings/${key}`, { method: "POST", body: JSON.stringify(value) });
    await this.page.goto(this.url);
    await this.page.waitForFunction(() => window.app?.graph && LiteGraph.registered_node_types["VExpressSampler"]);
    await this.settle();
    this.errors.length = 0;
  }

  /** Waits until nothing was asked for, and nothing complained of, for a while. */
  async settle() {
    const started = (this.lastStir = Date.now());
    while (Date.now() - this.lastStir < QUIET_MS && Date.now() - started < SETTLED_AFTER_MS)
      await this.page.waitForTimeout(50);
  }

  async load(workflow) {
    await this.page.evaluate((graph) => app.loadGraphData(graph), workflow);
    await this.settle();
  }

  async fit() {
    await this.page.evaluate(() => app.canvas.canvas.focus());
    await this.page.keyboard.press(".");
    await this.page.waitForTimeout(700); // it glides there
  }

  /** Where on the page the first node of a type has its title or, by name, an input or output. */
  async whereIs(type, { input, output } = {}) {
    return this.page.evaluate(
      ([type, input, output]) => {
        const node = app.graph.nodes.find((node) => node.type === type);
        const slot = (slots, name) => slots.findIndex((slot) => slot.name === name);
        const place = input
          ? node.getInputPos(slot(node.inputs, input))
          : output
            ? node.getOutputPos(slot(node.outputs, output))
            : [node.pos[0] + 60, node.pos[1] - 15];
        const [x, y] = app.canvas.ds.convertOffsetToCanvas([...place]);
        const { left, top } = app.canvas.canvas.getBoundingClientRect();
        return [x + left, y + top];
      },
      [type, input, output],
    );
  }
}

module.exports = { Frontend };
