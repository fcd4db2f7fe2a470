import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "@playwright/test";

/** The system's browser, so that Playwright's own need not be downloaded. */
function chromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(":");
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

// Tests that do not depend on the size of the page.
const onceOnly = [
  "download",
  "gap",
  "interventions",
  "last-error",
  "other-origin",
  "outside-text",
  "posting",
  "retry-all",
  "roles",
  "second-visit",
  "submit-form",
  "under-a-path",
].map((name) => `${name}.spec.ts`);

// Taken only on demand: they are committed, and no two runs give the same images.
const screenshots = process.env.SCREENSHOTS ? [] : ["screenshots.spec.ts"];

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  globalSetup: "./onceward.ts",
  // Long timeouts for a busy machine; a test that passes does not wait for them.
  timeout: 120_000,
  expect: { timeout: 20_000 },
  workers: 2,
  fullyParallel: true,
  forbidOnly: Boolean(process.env.CI),
  reporter: "list",
  use: {
    baseURL: process.env.ONCEWARD_URL, // from the global setup, which runs before the workers start
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? chromium(),
      args: [
        "--no-sandbox", // the sandbox does not work as root, as in a container or CI
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  projects: [
    {
      name: "desktop",
      testIgnore: ["narrow.spec.ts", ...screenshots],
      use: { viewport: { width: 1280, height: 800 } },
    },
    {
      name: "phone",
      testIgnore: [...onceOnly, "screenshots.spec.ts"],
      use: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
    },
  ],
});
