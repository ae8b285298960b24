// What outlives the process: the history of the last day, in state_dir, and nothing else.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask, gateway, simnode, until } from './lib.mjs';

describe('state folder', () => {
    let folder, node;
    before(async () => {
        folder = fs.mkdtempSync(path.join(os.tmpdir(), 'omx-state-'));
        node = await simnode({ models: ['llama3.2=16MiB'], prefill: 0, decode: 0 });
    });
    after(async () => {
        await node?.stop();
        fs.rmSync(folder, { recursive: true, force: true });
    });

    const seconds = async (gate) => {
        const points = (await ask(`${gate.url}/api/history?series=nodes_up&range=5m`)).json;
        return points.series.nodes_up.map((value, i) => (value === null ? 0 : points.t0 + i)).filter(Boolean);
    };

    test('the history goes on where it ended', async () => {
        const state = path.join(folder, 'deep', 'state');
        const first = await gateway([node], { flags: ['--state-dir', state] });
        const before = await until('points', async () => { const s = await seconds(first); return s.length >= 2 && s; });
        await first.stop();
        assert.deepEqual(fs.readdirSync(state), ['history']);
        const second = await gateway([node], { flags: ['--state-dir', state] });
        try {
            const after = await seconds(second);
            for (const moment of before) assert.ok(after.includes(moment), `${moment} is not in ${after}`);
        } finally {
            await second.stop();
        }
    });

    test('who is killed loses a minute of it at most', async () => {
        const state = path.join(folder, 'killed');
        const first = await gateway([node], { flags: ['--state-dir', state] });
        await until('the history is written', () => fs.existsSync(path.join(state, 'history')), 75_000);
        const before = await seconds(first);
        first.kill('SIGKILL');
        const second = await gateway([node], { flags: ['--state-dir', state] });
        try {
            const kept = new Set(await seconds(second));
            assert.ok(before.slice(0, 50).every((moment) => kept.has(moment)), `${before.length} seconds before, ${kept.size} after`);
        } finally {
            await second.stop();
        }
    });

    test('a damaged history begins anew, and is told of', async () => {
        const state = path.join(folder, 'damaged');
        fs.mkdirSync(state);
        fs.writeFileSync(path.join(state, 'history'), 'this is no history');
        const gate = await gateway([node], { flags: ['--state-dir', state] });
        await gate.stop();
        assert.match(gate.said, /history is damaged or of another version; the history begins anew/);
        assert.ok(fs.statSync(path.join(state, 'history')).size > 1000, 'a good one is written at the end');
    });

    test('without a folder to write to it serves all the same', async () => {
        const gate = await gateway([node], { env: { STATE_DIRECTORY: '/proc/nowhere' } });
        assert.equal((await ask(`${gate.url}/api/version`)).status, 200);
        await gate.stop();
        assert.match(gate.said, /the history will not be kept: \/proc\/nowhere cannot be made/);
    });
});
