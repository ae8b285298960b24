// The page out of the program itself, before a real gateway and three simulated nodes: what people see who open it.
// Pictures are left in build/artefacts. OLLAMAMAX_BIN: which program.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { gateway, simnode, until } from '../../test/live/lib.mjs';

const artefacts = fileURLToPath(new URL('../../build/artefacts', import.meta.url));
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const KEY = 'open sésame';
let browser;

before(async () => {
  await mkdir(artefacts, { recursive: true });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});
after(() => browser?.close());

/** Three nodes with two models each, behind a gateway. */
async function startFleet(t, front = {}) {
  const nodes = [];
  for (let i = 0; i < 3; i++) nodes.push(await simnode({ models: ['llama3.2', 'qwen3:8b'], slots: 4, decode: 200 }));
  const gate = await gateway(nodes, front);
  t.after(async () => {
    await gate.stop();
    for (const n of nodes) await n.stop();
  });
  return { gate, nodes };
}

/** The page, live; what the browser complains of, or asks from elsewhere, is kept in `faults`. */
async function open(t, url, { size = { width: 1440, height: 900 }, scheme = 'light', wait = true } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme });
  const page = await context.newPage();
  const faults = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && faults.push(m.text()));
  page.on('pageerror', (e) => faults.push(e.stack));
  page.on('request', (r) => new URL(r.url()).host !== new URL(url).host && faults.push(`asked ${r.url()}`));
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective, e.blockedURI)));
  t.after(() => context.close());
  await page.goto(`${url}/dashboard`);
  if (wait) await page.locator('.link-state', { hasText: /^Live$/ }).waitFor();
  return { page, faults };
}

const says = (page, text) => page.locator('.verdict-sentence', { hasText: text }).waitFor({ timeout: 20_000 });
const shot = (page, name, more = {}) => page.screenshot({ path: `${artefacts}/real-${name}.png`, ...more });
const chat = (url, i) => fetch(`${url}/api/chat`, {
  method: 'POST',
  body: JSON.stringify({ model: i % 3 ? 'llama3.2' : 'qwen3:8b', messages: [{ role: 'user', content: `Question ${i}` }], options: { temperature: 1, num_predict: 40 } }),
}).then((r) => r.text());

/** A few requests a second until the test is over. */
function load(t, url) {
  let i = 0;
  const running = new Set();
  const timer = setInterval(() => {
    const p = chat(url, i++).catch(() => {}).finally(() => running.delete(p));
    running.add(p);
  }, 100);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(running);
  };
  t.after(stop);
  return stop;
}

async function seriousFindings(page) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  assert.ok(passes.length > 20, 'axe has looked');
  return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 120)} ${n.any[0]?.message ?? ''}`));
}

test('three nodes, load, a death, the alert and the recovery', { timeout: 240_000 }, async (t) => {
  const { gate, nodes } = await startFleet(t);
  const { page, faults } = await open(t, gate.url);
  await says(page, 'All is well');
  assert.equal(await page.locator('tr[data-node]').count(), 3);
  assert.equal(await page.locator('tr[data-node] .tag.sim').count(), 3);

  const totals = () => page.locator('.requests tbody tr').count();
  assert.equal(await totals(), 0);
  load(t, gate.url);
  const began = performance.now();
  await page.locator('.requests tbody tr').first().waitFor({ timeout: 20_000 });
  t.diagnostic(`the first request was seen ${Math.round(performance.now() - began)} ms after load began`);
  const figures = () => page.locator('.legend').allInnerTexts();
  await page.waitForTimeout(3000);
  const before = await figures();
  await page.waitForTimeout(2000);
  assert.notDeepEqual(await figures(), before, 'figures move within two seconds');
  await shot(page, 'load', { fullPage: true });

  const { port } = nodes[1];
  const name = 'n2';
  await nodes[1].kill();
  await page.locator(`tr[data-node="${name}"]`).getByText('down').first().waitFor({ timeout: 20_000 });
  await says(page, 'is down');
  await page.locator('.firing', { hasText: 'node down' }).waitFor({ timeout: 60_000 });
  await shot(page, 'node-down', { fullPage: true });
  assert.deepEqual(await seriousFindings(page), []);

  const again = await simnode({ models: ['llama3.2', 'qwen3:8b'], slots: 4, decode: 200, listen: `127.0.0.1:${port}` });
  t.after(() => again.stop());
  await page.locator(`tr[data-node="${name}"] .badge`, { hasText: /^up$/ }).waitFor({ timeout: 30_000 });
  await page.locator('.alert', { hasText: 'resolved' }).waitFor({ timeout: 120_000 });
  await shot(page, 'recovered', { fullPage: true });

  await page.locator('.requests tbody tr').first().click();
  await page.getByRole('dialog').getByText('llama3.2', { exact: false }).or(page.getByRole('dialog').getByText('qwen3')).first().waitFor();
  await shot(page, 'inspector');
  assert.deepEqual(faults, []);
});

for (const scheme of ['light', 'dark']) {
  for (const size of [{ width: 1440, height: 900 }, { width: 360, height: 780 }]) {
    test(`${scheme}, ${size.width} px wide: nothing to the side, no serious finding of axe, quickly usable`, { timeout: 120_000 }, async (t) => {
      const { gate } = await startFleet(t);
      for (let i = 0; i < 8; i++) await chat(gate.url, i);
      const { page, faults } = await open(t, gate.url, { scheme, size });
      await page.locator('.requests tbody tr').first().waitFor();
      const times = [];
      while (times.length < 3 && !(Math.min(...times) < 1000)) { // others may have the machine for a moment
        if (times.length) await page.reload();
        await page.locator('.link-state', { hasText: 'Live' }).waitFor();
        times.push(await page.evaluate(() => performance.getEntriesByName('usable')[0].startTime));
      }
      t.diagnostic(`usable after ${times.map(Math.round)} ms`);
      assert.ok(Math.min(...times) < 1000, `${times} ms`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'scrolls sideways');
      assert.deepEqual(await seriousFindings(page), []);
      await shot(page, `${scheme}-${size.width}`, { fullPage: true });
      assert.deepEqual(faults, []);
    });
  }
}

test('by keyboard: skip link, a request, its road, and back', { timeout: 120_000 }, async (t) => {
  const { gate } = await startFleet(t);
  for (let i = 0; i < 4; i++) await chat(gate.url, i);
  const { page } = await open(t, gate.url);
  await page.locator('button[data-request]').nth(3).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => location.hash), '#fleet');
  await page.locator('button[data-request]').first().focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
});

test('a gateway with a key asks for it, and a node is drained with it', { timeout: 120_000 }, async (t) => {
  const { gate } = await startFleet(t, { env: { OLLAMAMAX_ADMIN_KEY: KEY }, up: 0 });
  const { page } = await open(t, gate.url, { wait: false });
  await page.getByLabel('Admin key').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Admin key').fill(KEY);
  await page.keyboard.press('Enter');
  await page.locator('.link-state', { hasText: /^Live$/ }).waitFor();
  await says(page, 'All is well');
  const first = page.locator('tr[data-node]').first();
  const name = await first.getAttribute('data-node');
  await first.locator('button').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain …' }).click();
  await page.getByRole('button', { name: `Drain ${name}` }).click();
  await page.locator(`tr[data-node="${name}"]`).getByText('draining').waitFor();
});

test('a gateway that ends is missed, and one that begins is found', { timeout: 120_000 }, async (t) => {
  const node = await simnode();
  const first = await gateway([node]);
  t.after(() => node.stop());
  const { page } = await open(t, first.url);
  await first.stop();
  await page.locator('.link-state', { hasText: 'Not connected' }).waitFor({ timeout: 20_000 });
  const second = await gateway([node], { flags: ['--listen', `127.0.0.1:${first.port}`] });
  t.after(() => second.stop());
  await page.locator('.link-state', { hasText: /^Live$/ }).waitFor({ timeout: 30_000 });
  await until('the node is shown', () => page.locator('tr[data-node]').count());
});
