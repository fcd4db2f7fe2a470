// What the form keeps: the answer after a second click, and what is half-written.

import { expect, test } from "@playwright/test";
import { expectError, field, fill, open, row, submit, submitByApi, unique } from "./dashboard";

const answer = /^Stored as/;

test("a second click on Submit keeps the answer, and stores nothing else", async ({ page, request }) => {
  const description = unique("Clicked twice");
  await open(page, "/");
  await fill(page, { Amount: "5.00", Currency: "USD", Description: description });
  await submit(page);
  const stored = page.getByRole("status").filter({ hasText: answer });
  await expect(stored).toBeVisible();
  const link = await stored.getByRole("link").getAttribute("href");
  await expect(field(page, "Amount")).toHaveValue("");

  // The form is empty now. Each click is answered before the next.
  for (const again of [() => submit(page), () => field(page, "Amount").press("Enter")]) {
    const answered = page.waitForResponse(/submit_transaction/);
    await again();
    expect((await answered).status()).toBe(200);
    await expect(stored.getByRole("link")).toHaveAttribute("href", link ?? "");
    await expect(field(page, "Amount")).not.toHaveAttribute("aria-invalid");
  }

  const { data } = await (await request.get("/api/transactions?limit=200")).json();
  expect(data.filter((one: { description?: string }) => one.description === description)).toHaveLength(1);

  // Something new is typed: the answer no longer belongs to the form.
  await field(page, "Amount").fill("-1");
  await expect(stored).toHaveCount(0);
  await submit(page);
  await expectError(page, "Amount");
});

test("what is typed while the form is sent stays in it", async ({ page }) => {
  await open(page, "/");
  let send = () => {};
  const held = new Promise<void>((resolve) => {
    send = resolve;
  });
  await page.route("**/fn/submit_transaction", async (route) => {
    await held;
    await route.continue();
  });
  await fill(page, { Amount: "5.00", Currency: "USD" });
  await submit(page);
  await field(page, "Reference").fill("the next one");
  send();

  await expect(page.getByRole("status").filter({ hasText: answer })).toBeVisible();
  await expect(field(page, "Amount")).toHaveValue("");
  await expect(field(page, "Reference")).toHaveValue("the next one");
});

test("a half-written form survives opening a row and going back, and a reload", async ({ page, request }) => {
  const typed = {
    Amount: "12.5",
    Currency: "EU",
    Description: unique("Half-written"),
    Reference: "r-1",
    Metadata: '{"order":\n"1"',
  };
  const expectTyped = async () => {
    for (const [label, value] of Object.entries(typed)) {
      await expect(field(page, label)).toHaveValue(value);
    }
  };
  const description = unique("Opened meanwhile");
  await submitByApi(request, { description });
  await open(page, "/");
  await fill(page, typed);
  const id = await page.locator('input[name="id"]').inputValue();

  await row(page, description).getByRole("link").first().click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/^Transaction \S/);
  await page.goBack();
  await expectTyped();
  await expect(page.locator('input[name="id"]')).toHaveValue(id);

  await page.reload();
  await expectTyped();
  await expect(page.locator('input[name="id"]')).toHaveValue(id);

  // Once it is stored, it is forgotten.
  await fill(page, { Currency: "EUR", Metadata: "" });
  await submit(page);
  await expect(page.getByRole("status").filter({ hasText: answer })).toBeVisible();
  await page.reload();
  await expect(field(page, "Amount")).toHaveValue("");
});
