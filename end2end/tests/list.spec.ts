import { readFile } from "node:fs/promises";
import { expect, test } from "@playwright/test";
import {
  completed,
  completion,
  expectError,
  field,
  fill,
  open,
  row,
  submit,
  submitByApi,
  unique,
} from "./dashboard";

test("the list shows that a transaction submitted on the page completes, without a reload", async ({ page }) => {
  const description = unique("Rent");
  let loads = 0;
  page.on("load", () => loads++);

  await open(page, "/");
  await expect(page.getByRole("heading", { level: 1, name: "Transactions" })).toBeVisible();
  await fill(page, {
    Amount: "1250.00",
    Currency: "EUR",
    Description: description,
    Reference: unique("rent"),
    Metadata: '{"flat": "4b"}',
  });
  await submit(page);

  await expect(row(page, description)).toContainText("Completed", completion);
  expect(loads).toBe(1);
});

test("a bad amount shows an error at its field, and the fields keep their values", async ({ page }) => {
  const description = unique("Too precise");
  const typed = { Amount: "100.005", Currency: "USD", Description: description };

  await open(page, "/");
  await fill(page, typed);
  await submit(page);

  await expectError(page, "Amount");
  for (const [label, value] of Object.entries(typed)) {
    await expect(field(page, label)).toHaveValue(value);
  }
  await expect(row(page, description)).toHaveCount(0);
});

test("a transaction submitted by a program appears in an open list, without a reload", async ({ page, request }) => {
  const description = unique("By a program");
  await open(page, "/");

  const id = await submitByApi(request, { description });

  await expect(row(page, description)).toContainText(/Pending|Processing|Completed/);
  await expect(row(page, description).getByRole("link").first()).toHaveAttribute("href", `/transactions/${id}`);
  await expect(row(page, description)).toContainText("Completed", completion);
});

test("the page says that the posting service is a simulator", async ({ page }) => {
  await page.goto("/");

  await expect(page.getByRole("note").filter({ hasText: "simulator" })).toBeVisible();
});

test("the filtered list can be exported as a file", async ({ page, request }) => {
  const description = unique("Exported, as a file");
  await completed(request, await submitByApi(request, { description }));
  const exported = async (name: string) => {
    const started = page.waitForEvent("download");
    await page.getByRole("link", { name, exact: true }).click();
    const download = await started;
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
  };

  await open(page, "/?status=completed");
  const csv = await exported("Export CSV");
  expect(csv.name).toMatch(/^transactions-\d{8}T\d{6}Z\.csv$/);
  expect(csv.text).toMatch(/^\uFEFFtransactionId,status,amount,/);
  expect(csv.text).toContain(`"${description}"`);
  const ndjson = await exported("Export NDJSON");
  expect(ndjson.name).toMatch(/\.ndjson$/);
  const lines = ndjson.text.trimEnd().split("\n").map((line) => JSON.parse(line));
  expect(lines.map((line) => line.description)).toContain(description);
  expect(new Set(lines.map((line) => line.status))).toEqual(new Set(["completed"]));

  await page.getByRole("navigation", { name: "States" }).getByRole("link", { name: "Failed" }).click();
  await expect(page).toHaveURL("/?status=failed");
  await expect(row(page, description)).toHaveCount(0);
  expect((await exported("Export CSV")).text).not.toContain(description);
});
