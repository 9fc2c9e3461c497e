// The dedicated worker behind an `Esker`: it has the store (leader) or passes calls on to the tab that has (follower).
//
//   page ──frames──► worker ──► the store, if this worker holds the lock
//                           └──► BroadcastChannel of the leader, else
//
// docs/browser.md says what happens when the leader goes.

import init, { Store, destroyStore, listStores } from "../wasm/esker_web.js";
import { EskerError } from "./errors.js";
import { DEFERRAL_MILLIS, REST_MILLIS, SLICE_BYTES, lockName, readArchive, turn, writeArchive } from "./shared.js";

/** Frames are carried out together up to this many bytes. */
const GROUP_BYTES = 4 << 20;

const me = crypto.randomUUID();

/** What the two sides of a store's channels are called. */
const channelName = (name, side) => `esker:${name}:${side}`;

/** The store, and what waits for it. One thing is done at a time, in the order in which it was asked for. */
class Leader {
  #store;
  #queue = [];
  #busy = false;
  #maintaining = false;
  #closed = false;
  #wake = new MessageChannel();
  #timers = [];

  constructor(store) {
    this.#store = store;
    this.#wake.port1.onmessage = () => this.#step();
  }

  /** Asks for something. `request` is `{ frame, owner }` or `{ call, argument }`, `answer` is told the outcome. */
  ask(request, answer) {
    this.#queue.push({ ...request, answer });
    this.#soon();
  }

  /** The next step comes after what has been sent already: so it finds all of it. */
  #soon() {
    this.#wake.port2.postMessage(0);
  }

  async #step() {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    try {
      if (this.#queue.length > 0) await this.#serve();
      else await this.#maintain();
    } finally {
      this.#busy = false;
      if (this.#queue.length > 0 || this.#maintaining) this.#soon();
    }
  }

  async #serve() {
    await this.#tend();
    if (this.#queue[0].frame) this.#execute(this.#nextFrames());
    else await this.#call(this.#queue.shift());
    this.#maintaining = !this.#closed;
    this.#timers.forEach(clearTimeout);
    this.#timers = [
      setTimeout(() => this.#look(() => true), DEFERRAL_MILLIS),
      setTimeout(() => this.#look(() => this.#store.rest()), REST_MILLIS),
    ];
  }

  /** Goes on with maintenance if `due` finds some, and nothing else is done. */
  #look(due) {
    if (this.#busy || this.#closed) return;
    this.#maintaining = due();
    this.#soon();
  }

  /** A tab is gone: lets go of what it held. */
  forget(owner) {
    if (!this.#closed) this.#store.forget(owner);
  }

  #nextFrames() {
    let bytes = 0;
    let count = 0;
    while (this.#queue[count]?.frame && bytes < GROUP_BYTES) bytes += this.#queue[count++].frame.length;
    return this.#queue.splice(0, count);
  }

  #execute(group) {
    let answers;
    try {
      answers = this.#store.execute(
        group.map(({ frame }) => frame),
        group.map(({ owner }) => owner ?? 0),
      );
    } catch (error) {
      // The engine has panicked in the middle: what was written of this is open, and there is no more of it here.
      group.forEach(({ answer }) => answer({ error: EskerError.from(error).plain() }));
      this.#fail(error);
      return;
    }
    group.forEach(({ answer }, at) => answer({ frame: answers[at] }));
  }

  async #call({ call, argument, answer }) {
    try {
      answer({ result: await this.#calls[call](argument) });
    } catch (error) {
      answer({ error: EskerError.from(error).plain() });
      if (error instanceof WebAssembly.RuntimeError) this.#fail(error);
    }
  }

  #calls = {
    export: () => writeArchive(this.#store, () => this.#between()),
    import: (archive) => readArchive(this.#store, archive, () => this.#between()),
    compact: async () => {
      while (this.#store.compact(SLICE_BYTES)) await this.#between();
    },
    close: () => {
      this.#closed = true;
      this.#store.close();
    },
    destroy: async (name) => {
      this.#closed = true;
      this.#store.clear();
      await destroyStore(name);
    },
  };

  /** In the middle of a long call: carries out the frames that have come. */
  async #between() {
    await turn();
    await this.#tend();
    if (this.#queue[0]?.frame) this.#execute(this.#nextFrames());
  }

  async #maintain() {
    await this.#tend();
    if (this.#queue.length > 0) return;
    try {
      this.#maintaining = this.#store.maintain(SLICE_BYTES);
    } catch (error) {
      // The engine has noted what it could not do, and tries again later.
      this.#maintaining = false;
      if (error instanceof WebAssembly.RuntimeError) this.#fail(error);
    }
  }

  async #tend() {
    if (!this.#store.wantsSlots()) return;
    try {
      await this.#store.tend();
    } catch {
      // Whoever needs a slot that is not there is told so.
    }
  }

  #fail(error) {
    this.#closed = true;
    this.#queue.splice(0).forEach(({ answer }) => answer({ error: EskerError.from(error).plain() }));
    this.onfail?.(EskerError.from(error));
  }
}

/** This worker's part in the store `name`, from the moment it was asked to open it. */
class Member {
  #name;
  #options;
  #toPage;
  /** Set while this worker has the store. */
  #leader;
  /** The leader's name for itself, where another worker leads. */
  #term;
  #news;
  #mine;
  #toLeader;
  #giveUp = new AbortController();
  #unlock;
  #leave;
  #gone = new Promise((leave) => (this.#leave = leave));
  /** What the page has asked for and was not answered, by the page's number. */
  #pending = new Map();
  #opened = false;
  #ended = false;
  /** As leader: the other tabs by their names, each with its channel and its number. */
  #others = new Map();
  #nextNumber = 1;
  #requests;

  constructor(name, options, toPage) {
    this.#name = name;
    this.#options = options;
    this.#toPage = toPage;
    this.#news = new BroadcastChannel(channelName(name, "news"));
    this.#news.onmessage = ({ data }) => this.#hear(data);
    this.#mine = new BroadcastChannel(channelName(name, me));
    this.#mine.onmessage = ({ data }) => this.#hear(data);
    this.#toLeader = new BroadcastChannel(channelName(name, "leader"));
    navigator.locks
      .request(lockName(name), { signal: this.#giveUp.signal }, () => this.#lead())
      .catch((error) => {
        if (error?.name !== "AbortError") this.#fail(EskerError.from(error));
      });
    this.#show().then(() => this.#toLeader.postMessage({ hello: me }));
  }

  /** Holds a lock while this tab is there, so that a leader notices when it is gone. */
  #show() {
    return new Promise((shown) => {
      const held = () => {
        shown();
        return this.#gone;
      };
      navigator.locks.request(channelName(this.#name, me), held).catch(shown);
    });
  }

  /** The page asks for something. */
  ask(request) {
    this.#pending.set(request.id, request);
    if (this.#leader) this.#carryOut(request);
    else if (this.#term) this.#send(request);
  }

  // As follower.

  #send(request) {
    request.term = this.#term;
    const { id, frame, call, argument } = request;
    // Only the leader can close the store; a follower stops following, once it has all answers.
    if (call === "close") this.#leaveIfAnswered();
    else this.#toLeader.postMessage({ from: me, term: this.#term, id, frame, call, argument });
  }

  #leaveIfAnswered() {
    const [first] = this.#pending.values();
    if (this.#leader || first?.call !== "close") return;
    this.#end();
    this.#answer(first.id, {});
  }

  #hear(message) {
    if (this.#ended || this.#leader) return;
    if (message.leader) this.#follow(message.leader);
    else if (message.bye) this.#farewell(message.bye);
    else if (message.destroyed) this.#fail(new EskerError("closed", `the store ${this.#name} was destroyed`));
    else if (message.id !== undefined && message.term === this.#term) this.#answer(message.id, message.outcome);
  }

  #follow(term) {
    if (term === this.#term) return;
    this.#settle();
    this.#term = term;
    // So that the leader knows whom to tell when it goes.
    this.#toLeader.postMessage({ hello: me });
    if (!this.#opened) {
      if (this.#options.errorIfExists) {
        this.#fail(new EskerError("cannot-open", `the store ${this.#name} is there, and open in another tab`));
        return;
      }
      this.#opened = true;
      this.#toPage({ opened: "follower" });
    }
    for (const request of this.#pending.values()) if (!request.term) this.#send(request);
  }

  /** The leader has closed, and has answered all that it has taken: the rest it has never seen. */
  #farewell(term) {
    for (const request of this.#pending.values()) if (request.term === term) request.term = undefined;
    if (this.#term === term) this.#term = undefined;
  }

  /** There is another leader. What the old one may have done is open. */
  #settle() {
    for (const request of [...this.#pending.values()]) {
      if (!request.term) continue;
      request.term = undefined;
      if (request.writes) {
        const message =
          "the tab that had the store has gone in the middle of this: it was done once or not at all; look before you repeat it";
        this.#answer(request.id, { error: { code: "outcome-unknown", message } });
      }
    }
  }

  // As leader.

  async #lead() {
    if (this.#ended) return undefined;
    let store;
    try {
      store = await Store.open(this.#name, { ...this.#options, ...(this.#opened && { errorIfExists: false }) });
    } catch (error) {
      this.#fail(EskerError.from(error));
      return undefined;
    }
    if (this.#ended) {
      store.close();
      return undefined;
    }
    this.#settle();
    this.#leader = new Leader(store);
    this.#leader.onfail = (error) => this.#fail(error);
    const released = new Promise((unlock) => (this.#unlock = unlock));
    this.#serveOthers();
    this.#opened = true;
    this.#toPage({ opened: "leader" });
    for (const request of this.#pending.values()) this.#carryOut(request);
    return released;
  }

  #carryOut(request) {
    const argument = request.call === "destroy" ? this.#name : request.argument;
    this.#leader.ask({ ...request, argument }, (outcome) => {
      if (request.call === "close") this.#release({ bye: this.#term });
      if (request.call === "destroy" && !outcome.error) this.#release({ destroyed: true });
      this.#answer(request.id, outcome);
    });
  }

  /** Lets the other tabs know of this leader, and takes what they ask for. */
  #serveOthers() {
    this.#term = crypto.randomUUID();
    this.#requests = new BroadcastChannel(channelName(this.#name, "leader"));
    this.#requests.onmessage = ({ data }) => {
      if (data.hello) {
        this.#tell(data.hello, { leader: this.#term });
      } else if (data.term === this.#term) {
        this.#serveOther(data);
      }
    };
    this.#news.postMessage({ leader: this.#term });
  }

  #serveOther({ from, id, frame, call, argument }) {
    const owner = this.#other(from).number;
    const what = { frame, owner, call, argument: call === "destroy" ? this.#name : argument };
    this.#leader.ask(what, (outcome) => {
      this.#tell(from, { id, term: this.#term, outcome });
      if (call === "destroy" && !outcome.error) {
        this.#release({ destroyed: true });
        this.#fail(new EskerError("closed", `the store ${this.#name} was destroyed by another tab`));
      }
    });
  }

  #tell(whom, message) {
    this.#other(whom).channel.postMessage(message);
  }

  /** Another tab. Its lock is granted when it is gone. */
  #other(whom) {
    const known = this.#others.get(whom);
    if (known) return known;
    const other = { channel: new BroadcastChannel(channelName(this.#name, whom)), number: this.#nextNumber++ };
    this.#others.set(whom, other);
    const gone = () => {
      this.#others.delete(whom);
      this.#leader.forget(other.number);
      other.channel.close();
    };
    // Refused when this tab gives the store up: then it is all the same.
    navigator.locks.request(channelName(this.#name, whom), { signal: this.#giveUp.signal }, gone).catch(() => {});
    return other;
  }

  /** Gives the store up. Farewells go the way of the answers, so that they come after them. */
  #release(message) {
    this.#requests.onmessage = null;
    this.#requests.close();
    for (const { channel } of this.#others.values()) {
      channel.postMessage(message);
      channel.close();
    }
    if (message.destroyed) this.#news.postMessage(message);
    this.#end();
  }

  // Both.

  #answer(id, outcome) {
    if (!this.#pending.delete(id)) return;
    this.#toPage({ id, ...outcome }, outcome.frame ? [outcome.frame.buffer] : []);
    if (!this.#ended) this.#leaveIfAnswered();
  }

  #fail(error) {
    this.#end();
    this.#pending.clear();
    this.#toPage({ failed: error.plain() });
  }

  #end() {
    this.#ended = true;
    this.#giveUp.abort();
    this.#leave();
    this.#unlock?.();
    this.#news.close();
    this.#mine.close();
    this.#toLeader.close();
  }
}

/** Removes a store, by the tab that has it if there is one. */
function destroy(name) {
  return new Promise((resolve, reject) => {
    const giveUp = new AbortController();
    const mine = new BroadcastChannel(channelName(name, me));
    const toLeader = new BroadcastChannel(channelName(name, "leader"));
    const end = (error) => {
      giveUp.abort();
      news.close();
      mine.close();
      toLeader.close();
      if (error) reject(error);
      else resolve();
    };
    const news = new BroadcastChannel(channelName(name, "news"));
    news.onmessage = mine.onmessage = ({ data }) => {
      if (data.leader) toLeader.postMessage({ from: me, term: data.leader, id: 0, call: "destroy" });
      else if (data.destroyed || (data.id === 0 && !data.outcome.error)) end();
      else if (data.id === 0) end(new EskerError(data.outcome.error.code, data.outcome.error.message));
    };
    navigator.locks
      .request(lockName(name), { signal: giveUp.signal }, async () => {
        await destroyStore(name);
        news.postMessage({ destroyed: true });
        end();
      })
      .catch((error) => {
        if (error?.name !== "AbortError") end(EskerError.from(error));
      });
    toLeader.postMessage({ hello: me });
  });
}

let member;
const loaded = init();

onmessage = async ({ data }) => {
  if (member && !data.open) {
    member.ask(data);
    return;
  }
  try {
    await loaded;
    if (data.open) {
      member = new Member(data.open.name, data.open.options, (message, transfer) => postMessage(message, transfer));
    } else if (data.destroy) {
      await destroy(data.destroy);
      postMessage({ done: null });
    } else if (data.list) {
      postMessage({ done: await listStores() });
    }
  } catch (error) {
    postMessage({ failed: EskerError.from(error).plain() });
  }
};
