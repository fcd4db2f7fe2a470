// Not a test: takes the screenshots in docs/screenshots anew (`make screenshots`).

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
  await request.post("/cleanup");
  const ids: string[] = [];
  for (const transaction of transactions) {
    ids.push(await submitByApi(request, { ...transaction, metadata: { channel: "web" } }));
  }
  for (const id of ids) {
    await completed(request, id);
  }
  const take = (name: string) => page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled" });

  await open(page, "/");
  // One that is still on its way, as there is on most days.
  await submitByApi(request, { amount: "99.00", currency: "USD", description: "Order 12346", reference: "order-12346" });
  await expect(row(page, "Order 12346")).toBeVisible();
  await take("transactions-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await take("transactions-dark");
  await page.emulateMedia({ colorScheme: "light" });

  await page.goto(`/transactions/${ids[0]}`);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await take("transaction");

  await page.setViewportSize({ width: 360, height: 740 });
  await open(page, "/");
  await take("transactions-phone");
});
