import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "@playwright/test";

/** The system's browser: a download of Playwright's own would only be one more thing to install. */
function chromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(":");
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

// What does not depend on the size of the page.
const onceOnly = ["download", "posting", "interventions", "retry-all"].map((name) => `${name}.spec.ts`);

// Taken on demand: they are committed, and never quite the same.
const screenshots = process.env.SCREENSHOTS ? [] : ["screenshots.spec.ts"];

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  globalSetup: "./onceward.ts",
  // Patience for a machine that has other work; it costs nothing where a test passes.
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
        "--no-sandbox", // root, in a container or CI, has none
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
