// Not a test: updates the screenshots in docs/screenshots (`make screenshots`).

import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import type { APIRequestContext } from "@playwright/test";
import { completed, open, row, submitByApi } from "./dashboard";
import { call, expect, failed, inDoubt, test } from "./operator";

const folder = resolve(__dirname, "../../docs/screenshots");

const smooth = [
  { amount: "1250.00", currency: "EUR", description: "Rent for December", reference: "rent-2026-12" },
  { amount: "49.90", currency: "USD", description: "Order 12345", reference: "order-12345" },
  { amount: "18500", currency: "JPY", description: "Train tickets", reference: "trip-77" },
  { amount: "310000.00", currency: "CHF", description: "Invoice 2026-0817", reference: "inv-2026-0817" },
];

/** Waits until this many attempts were made. */
async function attempted(request: APIRequestContext, id: string, attempts: number): Promise<void> {
  const made = async () => (await (await request.get(`/api/transactions/${id}`)).json()).attempts;
  await expect.poll(made, { timeout: 30_000 }).toBeGreaterThanOrEqual(attempts);
}

test("screenshots", async ({ page, request, posting }) => {
  for (const transaction of smooth) {
    await completed(request, await submitByApi(request, { ...transaction, metadata: { channel: "web" } }));
  }
  await failed(request, posting, "Invoice 2026-0790, closed account");
  await inDoubt(request, posting, randomUUID(), "Payroll, batch 11");

  await call(request, "/api/posting/pause", { reason: "maintenance of the ledger" });
  const cancelled = await submitByApi(request, { amount: "60.00", currency: "GBP", description: "Order 12290" });
  await call(request, `/api/transactions/${cancelled}/cancel`, { reason: "ordered twice" });
  await call(request, "/api/posting/resume");

  // One completes after two failed attempts, and one is still being retried.
  await posting.fails();
  const faulty = await submitByApi(request, {
    amount: "7.25",
    currency: "GBP",
    description: "Refund of order 12201",
    reference: "refund-12201",
    metadata: { channel: "web" },
  });
  await attempted(request, faulty, 2);
  await posting.works();
  await completed(request, faulty);
  await posting.fails();
  const retrying = await submitByApi(request, { amount: "820.00", currency: "USD", description: "Order 12344" });
  await attempted(request, retrying, 3);

  const take = (name: string, fullPage = false) =>
    page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled", fullPage });

  await open(page, "/");
  // One that arrives while the page is open.
  await submitByApi(request, { amount: "99.00", currency: "USD", description: "Order 12346", reference: "order-12346" });
  await expect(row(page, "Order 12346")).toBeVisible();
  // The counts arrive a moment later.
  const states = page.getByRole("navigation", { name: "States" });
  await expect(states.getByRole("link", { name: "All 10" })).toBeVisible();
  await take("transactions-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await take("transactions-dark");
  await page.emulateMedia({ colorScheme: "light" });

  await page.goto(`/transactions/${faulty}`);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await take("transaction");

  await page.setViewportSize({ width: 360, height: 740 });
  await open(page, "/");
  // The full page: to the end of the list, and below it.
  await take("transactions-phone", true);
});
