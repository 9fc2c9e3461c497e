// A bucket as an object: the calls of its store, for its keys.

export class Bucket {
  #store;

  constructor(store, { number, name }) {
    this.#store = store;
    this.number = number;
    this.name = name;
  }

  get(key, options) {
    return this.#store.get(key, this.#here(options));
  }

  getMany(keys, options) {
    return this.#store.getMany(keys, this.#here(options));
  }

  getWithSequence(key, options) {
    return this.#store.getWithSequence(key, this.#here(options));
  }

  scan(options) {
    return this.#store.scan(this.#here(options));
  }

  put(key, value, options) {
    return this.#store.put(key, value, this.#here(options));
  }

  delete(key, options) {
    return this.#store.delete(key, this.#here(options));
  }

  increment(key, delta, options) {
    return this.#store.increment(key, delta, this.#here(options));
  }

  #here(options) {
    return { ...options, bucket: this };
  }
}
