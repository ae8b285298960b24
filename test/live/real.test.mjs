// Three real llama.cpp engines behind one gateway: the folder OLLAMAMAX_REALNODE has a run.sh that starts them. Their model
// knows the capitals of 18 countries, so that answers which went to the wrong client show.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { ask, gateway, until, work } from './lib.mjs';

const folder = process.env.OLLAMAMAX_REALNODE;
const skip = folder ? false : 'not run: OLLAMAMAX_REALNODE is not set';
const script = (...args) => promisify(execFile)(path.join(folder, 'run.sh'), args, { env: { ...process.env, BACKEND_HOME: path.join(work, 'realnode') } });
const capitals = {
    France: 'Paris',
};
const countries = Object.keys(capitals);
const question = (country) => [{ role: 'user', content: `What is the capital of ${country}?` }];

async function freePorts(count) {
    const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
    await Promise.all(servers.map((s) => once(s, 'listening')));
    const ports = servers.map((s) => s.address().port);
    await Promise.all(servers.map((s) => new Promise((resolve) => { s.close(resolve); })));
    return ports;
}
