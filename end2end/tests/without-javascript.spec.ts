import { expect, test } from "@playwright/test";
import { expectError, field, fill, submit, submitByApi, unique } from "./dashboard";

test.use({ javaScriptEnabled: false });

test("without JavaScript, the form submits and leads to the transaction's page", async ({ page }) => {
  const description = unique("Without JavaScript");

  await page.goto("/");
  await fill(page, { Amount: "12.30", Currency: "EUR", Description: description });
  await submit(page);

  await expect(page).toHaveURL(/\/transactions\/[0-9a-f-]{36}$/);
  await expect(page.getByRole("main")).toContainText(description);
});

test("without JavaScript, a bad amount shows its error, and the fields keep their values", async ({ page }) => {
  const typed = {
    Amount: "100.005",
    Currency: "USD",
    Description: "Too precise",
    Reference: unique("precise"),
    Metadata: '{"order": "12345"}',
  };

  await page.goto("/?status=failed");
  await fill(page, typed);
  const answered = page.waitForResponse((response) => response.request().method() === "POST");
  await submit(page);

  expect((await answered).status()).toBe(422);
  // The address says nothing about what was typed.
  await expect(page).toHaveURL("/?status=failed");
  await expectError(page, "Amount");
  for (const [label, value] of Object.entries(typed)) {
    await expect(field(page, label)).toHaveValue(value);
  }
});

test("without JavaScript, the list can be exported as a file", async ({ page, request }) => {
  await submitByApi(request);

  await page.goto("/");
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: "Export CSV" }).click();

  expect((await started).suggestedFilename()).toMatch(/\.csv$/);
});
