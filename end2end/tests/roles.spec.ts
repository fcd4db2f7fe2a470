// What the pages offer depends on the role of whoever is signed in.

import { expectAccessible, expectNoOverflow } from "./appearance";
import { open, row, unique } from "./dashboard";
import { expect, password, type Role, signIn, test } from "./signed-in";

const offered: Record<Role, { submits: boolean; operates: boolean }> = {
  viewer: { submits: false, operates: false },
  submitter: { submits: true, operates: false },
  operator: { submits: false, operates: true },
  admin: { submits: true, operates: true },
};

for (const [role, { submits, operates }] of Object.entries(offered)) {
  test(`the dashboard offers a ${role} what the role permits`, async ({ page }) => {
    await signIn(page, role);
    await open(page, "/");
    await expect(page.getByRole("form", { name: "Submit a transaction" })).toHaveCount(submits ? 1 : 0);
    await expect(page.getByRole("button", { name: "Pause posting" })).toHaveCount(operates ? 1 : 0);
    const account = page.getByRole("link", { name: "Account", exact: true });
    const brand = page.getByRole("link", { name: "Onceward" });
    const [one, other] = [await account.boundingBox(), await brand.boundingBox()];
    // The header is one line: what is in it does not wrap when a person is signed in.
    expect(one && other && Math.abs(one.y + one.height / 2 - other.y - other.height / 2)).toBeLessThan(12);
    // Nor does it on a phone.
    const window = page.viewportSize()!;
    await page.setViewportSize({ width: 360, height: window.height });
    expect((await account.boundingBox())?.height).toBe(one?.height);
    await expectNoOverflow(page);
    await page.setViewportSize(window);
    await expectAccessible(page);
    await account.click();
    await expect(page.getByRole("banner")).toContainText(`${role}, ${role}`);
    await expectAccessible(page);
  });
}

test("a submitter sees its own transactions alone", async ({ page, guarded, browser }) => {
  const [theirs, own] = [unique("Of the administrator"), unique("Own")];
  await signIn(page, "admin");
  const post = { headers: { origin: guarded.url }, data: { amount: 1, currency: "USD", description: theirs } };
  expect((await page.request.post("/api/transactions", post)).status()).toBe(202);
  await open(page, "/");
  await expect(row(page, theirs)).toBeVisible();

  const another = await browser.newPage({ baseURL: guarded.url });
  await signIn(another, "submitter");
  post.data.description = own;
  expect((await another.request.post("/api/transactions", post)).status()).toBe(202);
  await open(another, "/");
  await expect(row(another, own)).toBeVisible();
  await expect(row(another, theirs)).toHaveCount(0);
  await another.close();
});

test("a wrong password is refused, and whoever signs out is out", async ({ page }) => {
  await page.goto("/account");
  await page.getByLabel("Name").fill("viewer");
  await page.getByLabel("Password").fill("nine orange narwhals");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("The name, the password or the code is wrong.");
  await expectAccessible(page);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/account$/);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
});
