// Runs the release program, with a PostgreSQL and a posting service of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const root = resolve(__dirname, "..");
const results = join(__dirname, "test-results");

/** A running program. */
export interface Onceward {
  /** The URL of its pages and its API. */
  url: string;
  /** The URL of its simulated posting service, if it runs one. */
  simulator: string;
  /** The folder of its own PostgreSQL, with which commands reach it. */
  data: string;
  stop(): Promise<void>;
}

/** Playwright calls this once before all tests, and the function that it returns after them. */
export default async function startForAll(): Promise<() => Promise<void>> {
  const onceward = await start("onceward");
  process.env.ONCEWARD_URL = onceward.url;
  return onceward.stop;
}

/** Starts a program with these settings, and waits until it is ready. `name` names its log file. */
export async function start(
  name: string,
  command: "serve" | "web" = "serve",
  settings: Record<string, string> = {},
): Promise<Onceward> {
  const data = mkdtempSync(join(tmpdir(), "onceward-e2e-"));
  chmodSync(data, 0o755); // under root, the program's PostgreSQL runs as another user, which needs access
  mkdirSync(results, { recursive: true });
  const log = join(results, `${name}.log`);
  const output = openSync(log, "w");

  const site = await freeAddress();
  const simulator = await freeAddress();
  const program = spawn(join(root, "target/release/onceward"), [command], {
    cwd: root,
    stdio: ["ignore", output, output],
    env: {
      ...process.env,
      LEPTOS_SITE_ADDR: site,
      SIMULATOR_ADDR: simulator,
      ONCEWARD_DATA: join(data, "data"),
      // Not those of the shell: this run has its own.
      DATABASE_URL: undefined,
      POSTING_URL: undefined,
      // Short windows, so that a transaction with a fault completes within seconds.
      POSTING_TIMEOUT_MS: "3000",
      POSTING_SETTLE_MS: "2000",
      POSTING_RETRY_BASE_MS: "200",
      ...settings,
    },
  });

  const stop = async () => {
    try {
      await shutDown(program, log);
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  };
  try {
    await once(program, "spawn");
    await ready(program, `http://${site}/readyz`, log);
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
  return { url: `http://${site}`, simulator: `http://${simulator}`, data: join(data, "data"), stop };
}

/** A local address that is not in use. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { address, port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `${address}:${port}`;
}

async function ready(program: ChildProcess, url: string, log: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (program.exitCode !== null) {
      throw new Error(`Onceward exited with code ${program.exitCode}; see ${log}`);
    }
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) {
      return;
    }
    await sleep(100);
  }
  throw new Error(`Onceward was not ready within a minute; see ${log}`);
}

/** Stops the program as an operator would, and throws if it does not exit cleanly. */
async function shutDown(program: ChildProcess, log: string): Promise<void> {
  if (program.exitCode === null && program.signalCode === null) {
    const ended = once(program, "exit");
    program.kill("SIGTERM");
    const timeout = sleep(20_000, undefined, { ref: false });
    await Promise.race([ended, timeout]);
  }
  if (program.exitCode !== 0) {
    program.kill("SIGKILL");
    throw new Error(`Onceward did not exit cleanly within 20 s of SIGTERM; see ${log}`);
  }
}
