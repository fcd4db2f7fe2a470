// A page of another origin, in a browser that is signed in: it can neither read nor change anything. One is of another
// site, so that the cookie of the session does not go along; one is of another port, where it does.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { expect, signIn, test } from "./signed-in";

let server: Server;

test.beforeAll(async () => {
  server = createServer((_, answer) => {
    answer.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Elsewhere</title>");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});

test.afterAll(() => {
  server.close();
});

/** What an attacker would read: all of it, by GET. */
const readable = ["/", "/api/me", "/api/transactions", "/api/transactions/export", "/api/audit", "/api/users"];
/** What an attacker would change, by a request that needs no permission of the other origin in advance. */
const changes: [path: string, type: string, body: string][] = [
  ["/api/transactions", "text/plain", '{"amount":1,"currency":"USD"}'],
  ["/api/posting/pause", "text/plain", "{}"],
  ["/api/posting/pause", "application/x-www-form-urlencoded", ""],
  ["/fn/pause_posting", "application/x-www-form-urlencoded", "reason=x"],
  ["/cleanup", "text/plain", ""],
  ["/users", "application/x-www-form-urlencoded", "name=mallory&role=admin"],
  ["/sign-out", "application/x-www-form-urlencoded", ""],
];

/** What must stay as it is: the session, the pause, the transactions and the users. */
async function state(page: Page) {
  const read = async (path: string) => {
    const answer = await page.request.get(path);
    expect(answer.status(), path).toBe(200);
    return answer.json();
  };
  return {
    principal: (await read("/api/me")).principal,
    paused: (await read("/api/posting")).paused,
    transactions: (await read("/api/transactions")).data.map((it: { transactionId: string }) => it.transactionId),
    users: (await read("/api/users")).data.map(({ name, role }: { name: string; role: string }) => [name, role]),
  };
}

for (const host of ["localhost", "127.0.0.1"]) {
  test.describe(`a page of http://${host}`, () => {
    test("neither reads nor changes anything with the session of a browser", async ({ page, guarded }) => {
      const { url } = guarded;
      await signIn(page, "admin");
      // In the page itself the same session may do it, so nothing below fails for want of a session.
      const own = await page.evaluate(async () => {
        const post = (path: string) =>
          fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
        const answers = [await fetch("/api/users"), await post("/api/posting/pause"), await post("/api/posting/resume")];
        return answers.map((answer) => answer.status);
      });
      expect(own).toEqual([200, 200, 200]);
      const before = await state(page);
      expect(before).toMatchObject({ principal: "admin", paused: null });

      const elsewhere = await page.context().newPage();
      await elsewhere.goto(`http://${host}:${(server.address() as AddressInfo).port}/`);

      const read = await elsewhere.evaluate(
        async ({ url, readable }) => {
          const found: string[] = [];
          for (const path of readable) {
            for (const mode of ["cors", "no-cors"] as const) {
              const answer = await fetch(url + path, { mode, credentials: "include" }).catch(() => undefined);
              const text = (await answer?.text().catch(() => "")) ?? "";
              if (answer?.status || text) {
                found.push(`fetch of ${path} (${mode}): ${answer?.status} ${text.slice(0, 80)}`);
              }
            }
            const image = new Image();
            const loaded = new Promise((end) => {
              image.onload = () => end(true);
              image.onerror = () => end(false);
            });
            image.src = url + path;
            if (await loaded) {
              found.push(`image of ${path}`);
            }
          }
          const stream = new EventSource(`${url}/api/stream`, { withCredentials: true });
          const opened = await new Promise((end) => {
            stream.onopen = () => end(true);
            stream.onmessage = () => end(true);
            stream.onerror = () => end(false);
          });
          stream.close();
          if (opened) {
            found.push("event source");
          }
          const socket = new WebSocket(`${url.replace("http", "ws")}/api/stream`);
          const connected = await new Promise((end) => {
            socket.onopen = () => end(true);
            socket.onerror = () => end(false);
          });
          socket.close();
          if (connected) {
            found.push("web socket");
          }
          return found;
        },
        { url, readable },
      );
      expect(read).toEqual([]);

      // A frame shows nothing, so that no click can be led astray.
      await elsewhere.evaluate(async (url) => {
        const frame = document.createElement("iframe");
        const loaded = new Promise((end) => {
          frame.onload = end;
        });
        frame.src = `${url}/`;
        document.body.append(frame);
        await loaded;
      }, url);
      const frame = elsewhere.frames()[1]!;
      await expect(frame.getByRole("link", { name: "Onceward" })).toHaveCount(0);
      expect(frame.url()).not.toContain(url);

      for (const [path, type, body] of changes) {
        // It is sent, and its answer is withheld: as an error, or as one without a status and a body.
        const status = await elsewhere.evaluate(
          async ({ address, type, body }) => {
            const headers = { "content-type": type };
            const request = fetch(address, { method: "POST", mode: "no-cors", credentials: "include", headers, body });
            return request.then(
              (answer) => answer.status,
              () => 0,
            );
          },
          { address: url + path, type, body },
        );
        expect(status, path).toBe(0);
        // Its preflight gets no permission.
        const isSent = await elsewhere.evaluate(async (address) => {
          const headers = { "content-type": "application/json" };
          const request = fetch(address, { method: "POST", credentials: "include", headers, body: "{}" });
          return request.then(
            () => true,
            () => false,
          );
        }, url + path);
        expect(isSent, path).toBe(false);
      }
      expect(await state(page)).toEqual(before);

      const statuses: number[] = [];
      for (const [path, type, body] of changes) {
        const form = await page.context().newPage();
        await form.goto(elsewhere.url());
        const answered = form.waitForResponse((answer) => answer.url() === url + path);
        await form.evaluate(
          ({ address, type, body }) => {
            const form = document.createElement("form");
            form.method = "post";
            form.action = address;
            form.enctype = type;
            for (const [name, value] of new URLSearchParams(body)) {
              const input = document.createElement("input");
              input.name = name;
              input.value = value;
              form.append(input);
            }
            document.body.append(form);
            form.submit();
          },
          { address: url + path, type, body },
        );
        statuses.push((await answered).status());
        await form.close();
      }
      expect(statuses.filter((status) => ![401, 403, 405].includes(status))).toEqual([]);
      expect(await state(page)).toEqual(before);
    });
  });
}
