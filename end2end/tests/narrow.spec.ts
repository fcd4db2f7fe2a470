// Runs at a phone's size only.

import { expect, test } from "@playwright/test";
import { expectNoOverflow } from "./appearance";
import { completed, row, submitByApi, unique } from "./dashboard";

const wide = { amount: "9999999999999.99", description: unique(`With a long word: ${"x".repeat(60)}`) };

test("nothing in the list is wider than a phone", async ({ page, request }) => {
  const id = await submitByApi(request, wide);
  await completed(request, id);
  await page.goto("/");
  await expect(row(page, wide.description).first()).toBeVisible();

  await expectNoOverflow(page);
});

test("nothing on the page of a transaction is wider than a phone", async ({ page, request }) => {
  const id = await submitByApi(request, wide);
  await completed(request, id);
  await page.goto(`/transactions/${id}`);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();

  await expectNoOverflow(page);
});
