// The dashboard where a proxy serves it under a path.

import { expect, test } from "@playwright/test";
import { type Onceward, start } from "../onceward";
import { fill, open, row, submit, unique } from "./dashboard";
import { openDialog } from "./operator";

const prefix = "/payments/onceward";
let onceward: Onceward;

test.beforeAll(async () => {
  onceward = await start("under-a-path", "serve", { ONCEWARD_PATH_PREFIX: prefix });
});
test.afterAll(async () => {
  await onceward.stop();
});

test("under a path, everything that the page asks for is under that path", async ({ page }) => {
  const outside: string[] = [];
  page.on("request", (request) => {
    if (!new URL(request.url()).pathname.startsWith(`${prefix}/`)) {
      outside.push(request.url());
    }
  });
  await open(page, `${onceward.url}${prefix}/`);
  const description = unique("Rent");
  await fill(page, { Amount: "12.50", Currency: "EUR", Description: description });
  await submit(page);
  await expect(row(page, description)).toContainText("Completed", { timeout: 45_000 });

  await page.getByRole("navigation", { name: "States" }).getByRole("link", { name: /^Completed/ }).click();
  await expect(page).toHaveURL(`${onceward.url}${prefix}/?status=completed`);
  await row(page, description).getByRole("link").first().click();
  await expect(page).toHaveURL(new RegExp(`${prefix}/transactions/[0-9a-f-]{36}`));
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.getByText(description, { exact: true })).toBeVisible();

  // The same page as the server renders it, and back by a link.
  await page.reload();
  await expect(page.getByRole("status").filter({ hasText: "Live" })).toBeVisible();
  await page.getByRole("link", { name: "Onceward" }).click();
  await expect(page).toHaveURL(`${onceward.url}${prefix}/`);
  await expect(row(page, description)).toBeVisible();

  const dialog = await openDialog(page, "Pause posting");
  await dialog.getByRole("button", { name: "Pause posting" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  expect(outside).toEqual([]);
});
