// Not a test: updates the screenshots in docs/screenshots (`make screenshots`).

import { resolve } from "node:path";
import { expect, test } from "@playwright/test";
import { completed, open, row, submitByApi } from "./dashboard";

const folder = resolve(__dirname, "../../docs/screenshots");

const transactions = [
  { amount: "1250.00", currency: "EUR", description: "Rent for December", reference: "rent-2026-12" },
  { amount: "49.90", currency: "USD", description: "Order 12345", reference: "order-12345" },
  { amount: "18500", currency: "JPY", description: "Train tickets", reference: "trip-77" },
  { amount: "7.25", currency: "GBP", description: "Refund of order 12201", reference: "refund-12201" },
  { amount: "310000.00", currency: "CHF", description: "Invoice 2026-0817", reference: "inv-2026-0817" },
];

test("screenshots", async ({ page, request }) => {
  // A transaction with a fault shows more. Faults are random, so this repeats until there is one.
  let faulty: string | undefined;
  while (!faulty) {
    await request.post("/cleanup");
    const ids: string[] = [];
    for (const transaction of transactions) {
      ids.push(await submitByApi(request, { ...transaction, metadata: { channel: "web" } }));
    }
    for (const id of ids) {
      await completed(request, id);
    }
    const { data } = await (await request.get("/api/transactions?minAttempts=2")).json();
    faulty = data[0]?.transactionId;
  }
  const take = (name: string, fullPage = false) =>
    page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled", fullPage });

  await open(page, "/");
  // One that arrives while the page is open.
  await submitByApi(request, { amount: "99.00", currency: "USD", description: "Order 12346", reference: "order-12346" });
  await expect(row(page, "Order 12346")).toBeVisible();
  // The counts arrive a moment later.
  const states = page.getByRole("navigation", { name: "States" });
  await expect(states.getByRole("link", { name: "All 6" })).toBeVisible();
  await expect(states.getByRole("link", { name: "Completed 6" })).toBeVisible();
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
