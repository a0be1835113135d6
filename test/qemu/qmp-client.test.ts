import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { isQmpError, QmpClient, type QmpEvent } from 'guestmem/qemu';
import { answer, FakeQmp, GREETING, type Responder } from '../support/fake-qmp.ts';

const silent: Responder = () => undefined;

describe('QmpClient', () => {
  const open: { close(): void | Promise<void> }[] = [];
  afterEach(async () => {
    for (const thing of open.splice(0).reverse()) await thing.close();
  });

  async function serve(respond: Responder, greeting?: string): Promise<FakeQmp> {
    const fake = await FakeQmp.start(respond, greeting);
    open.push(fake);
    return fake;
  }

  async function connect(
    respond: Responder,
    options: { timeoutMs?: number; maxLine?: number } = {},
  ): Promise<QmpClient> {
    const client = await QmpClient.connect((await serve(respond)).path, options);
    open.push(client);
    return client;
  }

  it('I4: greets, negotiates, and sends commands with their arguments', async () => {
    const fake = await serve((command, say) => say(answer(command, { ok: true })));
    const client = await QmpClient.connect(fake.path);
    open.push(client);
    assert.equal(client.version, '7.2.22');
    assert.deepEqual(await client.execute('qom-get', { path: '/machine', property: 'type' }), { ok: true });
    assert.deepEqual(
      fake.received.map(({ execute, arguments: args }) => [execute, args]),
      [
        ['qmp_capabilities', undefined],
        ['qom-get', { path: '/machine', property: 'type' }],
      ],
    );
  });

  it('I4: runs lines of the human monitor with a processor chosen', async () => {
    const client = await connect((command, say) =>
      say(answer(command, `${JSON.stringify(command.arguments)}\r\n`)),
    );
    assert.equal(await client.monitor('info tlb', 1), '{"command-line":"info tlb","cpu-index":1}\r\n');
    assert.equal(await client.monitor('info tlb'), '{"command-line":"info tlb"}\r\n');
  });

  it('I4: matches answers by id, in whatever order they come, with events in between', async () => {
    const held: string[] = [];
    const client = await connect((command, say) => {
      held.push(answer(command, command.execute));
      if (held.length < 3) return;
      say('{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n');
      for (const line of held.reverse()) say(`${line}{"event": "RESUME", "data": {"a": 1}}\r\n`);
    });
    const events: QmpEvent[] = [];
    const stop = client.onEvent((event) => events.push(event));
    assert.deepEqual(await Promise.all(['a', 'b', 'c'].map((name) => client.execute(name))), ['a', 'b', 'c']);
    for (let looks = 0; events.length < 4 && looks < 1000; looks++) await sleep(10);
    stop();
    assert.deepEqual(
      events.map(({ event }) => event),
      ['STOP', 'RESUME', 'RESUME', 'RESUME'],
    );
    assert.deepEqual(events[1]?.data, { a: 1 });
  });

  it('I4: takes answers in any pieces, characters of several bytes cut through', async () => {
    const client = await connect((command, _say, socket) => {
      const bytes = Buffer.from(answer(command, 'Zürich 東京'));
      const send = (at: number): void => {
        if (at >= bytes.length) return;
        socket.write(bytes.subarray(at, at + 1));
        setImmediate(() => send(at + 1));
      };
      send(0);
    });
    assert.equal(await client.execute('query-name'), 'Zürich 東京');
  });

  it('E: a command that QEMU refuses is command, with its class and words', async () => {
    const client = await connect((command, say) =>
      say(
        `${JSON.stringify({ error: { class: 'DeviceNotFound', desc: "Device 'x' not found" }, id: command.id })}\n`,
      ),
    );
    await assert.rejects(
      client.execute('qom-get'),
      (error) =>
        isQmpError(error) &&
        error.code === 'command' &&
        error.command === 'qom-get' &&
        error.errorClass === 'DeviceNotFound' &&
        error.message.startsWith("QEMU refused 'qom-get': Device 'x' not found"),
    );
  });

  it('E: a command that is not answered in time is timeout, and the connection goes on', async () => {
    let late = '';
    const client = await connect((command, say) => {
      if (command.execute === 'slow') late = answer(command, 1);
      else say(late + answer(command, 2));
    });
    await assert.rejects(client.execute('slow', undefined, { timeoutMs: 30 }), {
      code: 'timeout',
      command: 'slow',
    });
    assert.equal(await client.execute('quick'), 2);
  });

  it('I4: a socket that takes the connection and does not greet is busy, in one line', async () => {
    const fake = await serve(silent, '');
    await assert.rejects(QmpClient.connect(fake.path, { timeoutMs: 50 }), (error) => {
      assert(isQmpError(error));
      assert.equal(error.code, 'busy');
      assert.match(
        error.message,
        /^QEMU took the connection but did not greet within 50 ms: .* another one is connected \(.*\)$/,
      );
      return true;
    });
  });

  it('E: no socket, nobody behind it, no socket file, and impossible paths are connect', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qmp-'));
    open.push({ close: () => rm(folder, { recursive: true }) });
    const plain = join(folder, 'plain');
    await writeFile(plain, '');
    const refused = async (path: string, message: RegExp): Promise<void> => {
      await assert.rejects(QmpClient.connect(path), { code: 'connect', name: 'QmpError', message });
    };
    await refused(join(folder, 'none'), /no such socket/);
    await refused(plain, /nobody listens|not a socket/);
    await refused('', /0 bytes, wanted 1 to 107/);
    await refused(`/tmp/${'x'.repeat(103)}`, /108 bytes/);
  });

  it('E: what is no QMP is protocol, and ends the connection', async () => {
    for (const greeting of [
      'SSH-2.0-OpenSSH\r\n',
      '{"QMP": 1}\n',
      '[]\n',
      '{}\n',
      'null\n',
      '\xff\xfe\n',
      `${'['.repeat(100_000)}\n`,
    ]) {
      const fake = await serve(silent, greeting);
      await assert.rejects(QmpClient.connect(fake.path), { code: 'protocol' }, greeting.slice(0, 20));
    }
  });

  it('E: answers that answer nothing are protocol for everybody who waits', async () => {
    const bad = [
      '{"return": 1}\n',
      '{"return": 1, "id": "x"}\n',
      '{"return": 1, "id": 99}\n',
      '{"error": {"class": "GenericError", "desc": "bad JSON"}}\n',
      '7\n',
      '{\n',
    ];
    for (const line of bad) {
      const client = await connect((_command, say) => say(line));
      await assert.rejects(client.execute('a'), { code: 'protocol' }, line);
      await assert.rejects(client.execute('b'), { code: 'closed' }, line);
    }
    const neither = await connect((command, say) => say(`{"id": ${command.id}}\n`));
    await assert.rejects(neither.execute('a'), { code: 'protocol' });
  });

  it('E: an answer of the wrong type to a monitor line is protocol', async () => {
    const client = await connect((command, say) => say(answer(command, { not: 'text' })));
    await assert.rejects(client.monitor('info mtree -f'), { code: 'protocol' });
  });

  it('E: a message without an end is refused at the limit', async () => {
    const client = await connect((_command, say) => say('x'.repeat(5000)), { maxLine: 4096 });
    await assert.rejects(client.execute('a'), {
      code: 'protocol',
      message: /a line of more than 4096 bytes/,
    });
  });

  it('E: QEMU leaving, and our leaving, are closed for those who wait and those who come after', async () => {
    const left = await connect((_command, _say, socket) => socket.destroy());
    await assert.rejects(left.execute('quit'), { code: 'closed' });
    await assert.rejects(left.execute('again'), { code: 'closed' });
    const client = await connect(silent);
    const waiting = assert.rejects(client.execute('a'), { code: 'closed' });
    client.close();
    client.close();
    await waiting;
  });

  it('E: any bytes after the greeting are a typed error or nothing, never an exception beside it', async () => {
    const noise = fc.array(
      fc.oneof(fc.string(), fc.json(), fc.constantFrom('\r\n', '\n', '{"event":"X"}\n', '{"return":')),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(noise, async (pieces) => {
        const fake = await FakeQmp.start((_command, say) => say(pieces.join('')), GREETING);
        const client = await QmpClient.connect(fake.path, { timeoutMs: 60_000 });
        try {
          await client
            .execute('a', undefined, { timeoutMs: 5 })
            .then(undefined, (error: unknown) => assert(isQmpError(error)));
        } finally {
          client.close();
          await fake.close();
        }
      }),
      { numRuns: 60 },
    );
  });
});
