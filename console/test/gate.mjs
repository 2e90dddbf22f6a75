// A way to the API that can be shut: nobody answers, or what answers says nothing.

import { connect, createServer } from 'node:net';

export class Gate {
  sockets = new Set();

  /** A gate in front of this URL. */
  static async before(url) {
    const gate = new Gate();
    gate.target = new URL(url);
    await gate.open();
    return gate;
  }

  /** Lets connections through, at the same port as before. */
  async open() {
    this.server = createServer((socket) => {
      const inner = connect(Number(this.target.port), this.target.hostname);
      for (const [one, other] of [
        [socket, inner],
        [inner, socket],
      ]) {
        this.sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
        if (this.isSilent) one.pause();
      }
    });
    await new Promise((go) => this.server.listen(this.port ?? 0, '127.0.0.1', go));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** Ends what is connected, and refuses what comes. */
  async shut() {
    const ended = new Promise((go) => this.server.close(go));
    for (const socket of this.sockets) socket.destroy();
    await ended;
  }

  /** Holds back all that is sent, until it is told otherwise; connections stay. */
  silence(isSilent) {
    this.isSilent = isSilent;
    for (const socket of this.sockets) {
      if (isSilent) socket.pause();
      else socket.resume();
    }
  }
}
