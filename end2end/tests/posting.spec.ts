// Pausing posting, and what the bar in the header says about posting.

import { start } from "../onceward";
import { completed, open, submitByApi } from "./dashboard";
import { bar, call, expect, openDialog, test } from "./operator";

test("a pause is shown at once, delays new transactions, and ends with a click", async ({ page, request }) => {
  let loads = 0;
  page.on("load", () => loads++);
  await open(page, "/");
  await expect(bar(page, "Posting is paused")).toHaveCount(0);

  const dialog = await openDialog(page, "Pause posting");
  await expect(dialog.getByLabel("Reason")).toBeFocused();
  await dialog.getByLabel("Reason").fill("the ledger is being moved");
  await dialog.getByRole("button", { name: "Pause posting" }).click();

  await expect(bar(page, "Posting is paused")).toContainText("by anonymous (the ledger is being moved)");
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: "Pause posting" })).toHaveCount(0);
  const id = await submitByApi(request);
  await page.waitForTimeout(1_000); // nothing must happen, so there is no event to wait for
  expect((await (await request.get(`/api/transactions/${id}`)).json()).status).toBe("pending");

  await page.getByRole("button", { name: "Resume" }).click();

  await expect(bar(page, "Posting is paused")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Pause posting" })).toBeFocused();
  await completed(request, id);
  expect(loads).toBe(1);
});

test("a pause by a program is shown on an open page, and on one that is opened later", async ({ page, request }) => {
  await open(page, "/");

  await call(request, "/api/posting/pause", { reason: "by a program" });

  await expect(bar(page, "Posting is paused")).toContainText("by a program");
  await page.reload();
  await expect(bar(page, "Posting is paused")).toContainText("by a program");
  await call(request, "/api/posting/resume");
  await expect(bar(page, "Posting is paused")).toHaveCount(0);
});

test("the bar says that nothing gets through, until something does", async ({ page, request, posting }) => {
  test.setTimeout(120_000);
  await open(page, "/");
  await posting.isDown();

  for (let count = 0; count < 25; count++) {
    await submitByApi(request);
  }

  await expect(bar(page, "Nothing gets through")).toBeVisible({ timeout: 45_000 });
  await posting.works();
  await expect(bar(page, "Nothing gets through")).toHaveCount(0, { timeout: 45_000 });
});

test("the bar says that no worker is running", async ({ page }) => {
  const web = await start("web-alone", "web");
  try {
    await page.goto(web.url);

    await expect(bar(page, "No worker is running")).toBeVisible();
  } finally {
    await web.stop();
  }
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("posting is paused and resumed", async ({ page }) => {
    await page.goto("/");
    const dialog = await openDialog(page, "Pause posting");
    await dialog.getByLabel("Reason").fill("no script");
    await dialog.getByRole("button", { name: "Pause posting" }).click();

    await expect(bar(page, "Posting is paused")).toContainText("no script");
    await page.getByRole("button", { name: "Resume" }).click();
    await expect(page.getByRole("button", { name: "Pause posting" })).toBeVisible();
  });
});
