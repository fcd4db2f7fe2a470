// Fixtures of the tests of an operator's actions. These pause posting and break the posting service, which
// must not affect other tests: each of Playwright's workers starts its own Onceward for them.

import { type APIRequestContext, test as base, expect, type Locator, type Page } from "@playwright/test";
import { type Onceward, start } from "../onceward";
import { submitByApi } from "./dashboard";

export { expect };

export const test = base.extend<{ posting: Posting }, { onceward: Onceward }>({
  onceward: [
    async ({}, use, { workerIndex }) => {
      const onceward = await start(`operator-${workerIndex}`);
      await use(onceward);
      await onceward.stop();
    },
    { scope: "worker", timeout: 90_000 },
  ],
  baseURL: async ({ onceward }, use) => use(onceward.url),
  /** Each test begins with an empty database and a posting service that works. */
  posting: [
    async ({ onceward, request }, use) => {
      const posting = new Posting(request, onceward.simulator);
      await posting.works();
      expect((await request.post("/cleanup")).ok()).toBe(true);
      await use(posting);
    },
    { auto: true },
  ],
});

/** The simulated posting service. */
export class Posting {
  constructor(
    private readonly request: APIRequestContext,
    private readonly url: string,
  ) {}

  /** Answers quickly, and without faults. */
  works(): Promise<void> {
    return this.faults({
      outage: false,
      refusalRate: 0,
      preWriteFailureRate: 0,
      postWriteFailureRate: 0,
      latencyMedianMs: 10,
      verificationLatencyMedianMs: 10,
    });
  }

  refuses(): Promise<void> {
    return this.faults({ refusalRate: 1 });
  }

  /** Answers 500, and stores nothing. */
  fails(): Promise<void> {
    return this.faults({ preWriteFailureRate: 1 });
  }

  isDown(): Promise<void> {
    return this.faults({ outage: true });
  }

  /** Adds an entry that Onceward did not post. */
  async holds(entry: Record<string, unknown>): Promise<void> {
    const answer = await this.request.post(`${this.url}/transactions`, { data: entry });
    expect(answer.ok()).toBe(true);
  }

  private async faults(faults: Record<string, unknown>): Promise<void> {
    const answer = await this.request.put(`${this.url}/admin/faults`, { data: faults });
    expect(answer.ok()).toBe(true);
  }
}

/** A status line of the bar in the header. */
export function bar(page: Page, text: string): Locator {
  return page.getByRole("banner").getByRole("status").filter({ hasText: text });
}

/** Opens a dialog by the button with this name. */
export async function openDialog(page: Page, button: string | RegExp): Promise<Locator> {
  await page.getByRole("button", { name: button, exact: true }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toBeVisible();
  return dialog;
}

/** Posts to the API, as a program would. */
export async function call(request: APIRequestContext, path: string, data = {}): Promise<void> {
  const answer = await request.post(path, { data });
  expect(answer.ok(), `${path}: ${answer.status()}`).toBe(true);
}

/** Waits until a transaction is in a state. */
export async function reaches(request: APIRequestContext, id: string, state: string): Promise<void> {
  const status = async () => (await (await request.get(`/api/transactions/${id}`)).json()).status;
  await expect.poll(status, { timeout: 30_000 }).toBe(state);
}

/** A transaction that was refused. */
export async function failed(request: APIRequestContext, posting: Posting, description = "Refused"): Promise<string> {
  await posting.refuses();
  const id = await submitByApi(request, { description });
  await reaches(request, id, "failed");
  await posting.works();
  return id;
}

/** A transaction in doubt: the posting service holds another amount under its id. */
export async function inDoubt(
  request: APIRequestContext,
  posting: Posting,
  id: string,
  description = "In doubt",
): Promise<void> {
  await posting.holds({ id, amount: 7, currency: "USD", description: "of another program" });
  await posting.fails();
  await submitByApi(request, { id, description });
  await reaches(request, id, "in_doubt");
  await posting.works();
}
