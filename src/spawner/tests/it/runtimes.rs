//! What people's programs do all day, under the filter and the limits.

use crate::harness::{Cell, Spawner, World, image};

fn cell() -> (Spawner, Cell) {
    let mut spawner = World::new().start(4);
    let cell = spawner.ready();
    (spawner, cell)
}

#[test]
fn cpython_does_what_it_does_elsewhere() {
    let (_spawner, cell) = cell();
    let seen = cell.python(
        r#"
import asyncio, concurrent.futures, http.client, http.server, json, multiprocessing, os, shutil
import socket, sqlite3, subprocess, tempfile, threading, time, signal, select, mmap, random, uuid

def threads():
    out = []
    workers = [threading.Thread(target=out.append, args=(n,)) for n in range(20)]
    [w.start() for w in workers]; [w.join() for w in workers]
    return sorted(out) == list(range(20))

def processes():
    ran = subprocess.run(['/bin/sh', '-c', 'echo a | cat; exit 3'], capture_output=True)
    return ran.returncode == 3 and ran.stdout == b'a\n'

def files():
    d = tempfile.mkdtemp()
    with open(d + '/a', 'wb') as f: f.write(os.urandom(3 << 20))
    shutil.copyfile(d + '/a', d + '/b'); shutil.copytree(d, d + '-copy'); shutil.move(d + '/b', d + '/c')
    same = open(d + '/a', 'rb').read() == open(d + '-copy/b', 'rb').read()
    shutil.rmtree(d)
    return same and not os.path.exists(d)

def send_file():
    a, b = socket.socketpair()
    with tempfile.TemporaryFile() as f:
        f.write(b'x' * 10000); f.seek(0)
        t = threading.Thread(target=lambda: (a.sendfile(f), a.close())); t.start()
        got = b''
        while chunk := b.recv(65536): got += chunk
        t.join()
    return len(got) == 10000

def web():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'hi')
        def log_message(self, *a): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    c = http.client.HTTPConnection('127.0.0.1', server.server_port); c.request('GET', '/')
    return c.getresponse().read() == b'hi'

def loop():
    async def main():
        p = await asyncio.create_subprocess_exec('/bin/echo', 'x', stdout=subprocess.PIPE)
        out, _ = await p.communicate()
        n = await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(5)))
        return out == b'x\n' and n == [0, 1, 2, 3, 4]
    return asyncio.run(main())

def database():
    db = sqlite3.connect('/tmp/x.db'); db.execute('create table t (a)')
    with db: db.executemany('insert into t values (?)', [(n,) for n in range(100)])
    return db.execute('select sum(a) from t').fetchone() == (4950,)

def pipes():
    ctx = multiprocessing.get_context('fork')
    a, b = ctx.Pipe()
    p = ctx.Process(target=lambda: b.send('child')); p.start()
    return a.recv() == 'child' and p.join() is None

def pools():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda n: n * n, range(5))) == [0, 1, 4, 9, 16]

def signals():
    hit = []
    signal.signal(signal.SIGALRM, lambda *a: hit.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.05)
    return hit == [1]

def memory():
    m = mmap.mmap(-1, 1 << 20); m[:5] = b'hello'
    return m[:5] == b'hello' and len({random.random() for _ in range(9)}) == 9 and bool(uuid.uuid4())

def polls():
    e = select.epoll(); a, b = socket.socketpair(); e.register(b, select.EPOLLIN); a.send(b'x')
    return len(e.poll(1)) == 1

for check in (threads, processes, files, send_file, web, loop, database, pipes, pools, signals, memory, polls):
    try: ok = check()
    except Exception as error: ok = repr(error)
    if ok is not True: print(check.__name__, ok)
print('done')
"#,
    );
    assert_eq!(seen, "done\n");
}

#[test]
fn node_does_what_it_does_elsewhere() {
    if !image::shared().has_node {
        // The host has none to copy; the product's own tests bring theirs.
        return;
    }
    let (_spawner, cell) = cell();
    let script = r#"
const assert = require('assert'), fs = require('fs'), http = require('http'), os = require('os');
const { Worker } = require('worker_threads'), { execFileSync, spawn } = require('child_process');
const zlib = require('zlib'), crypto = require('crypto'), dns = require('dns');
(async () => {
  await new Promise((done, fail) => new Worker('require("worker_threads").parentPort.postMessage(1)',
    { eval: true }).on('message', done).on('error', fail));
  assert.equal(execFileSync('/bin/echo', ['x']).toString(), 'x\n');
  fs.mkdirSync('/tmp/a/b', { recursive: true });
  fs.writeFileSync('/tmp/a/f', crypto.randomBytes(1 << 20));
  fs.cpSync('/tmp/a', '/tmp/c', { recursive: true });
  await fs.promises.copyFile('/tmp/a/f', '/tmp/a/g');
  assert.deepEqual(fs.readFileSync('/tmp/a/f'), fs.readFileSync('/tmp/c/f'));
  fs.rmSync('/tmp/a', { recursive: true });
  const server = http.createServer((q, a) => a.end('hi')).listen(0, '127.0.0.1');
  await new Promise(done => server.on('listening', done));
  const text = await (await fetch('http://127.0.0.1:' + server.address().port)).text();
  assert.equal(text, 'hi'); server.close();
  assert.equal(zlib.gunzipSync(zlib.gzipSync('x'.repeat(9999))).length, 9999);
  const wasm = new WebAssembly.Module(Buffer.from('0061736d01000000', 'hex'));
  assert(new WebAssembly.Instance(wasm));
  await new Promise(done => setImmediate(done));
  const watcher = fs.watch('/tmp'); watcher.close();
  await new Promise(done => spawn('/bin/true').on('exit', done));
  console.log('done');
})().catch(error => { console.log(error.stack); process.exit(1); });
"#;
    let ran = cell.run(&["/usr/bin/node", "-e", script]);
    assert_eq!((ran.status, ran.output.as_str()), (0, "done\n"));
}
