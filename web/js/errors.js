// The one error that all calls fail with.

export class EskerError extends Error {
  constructor(code, message, place = {}) {
    super(message);
    this.name = "EskerError";
    this.code = code;
    if (place.file) {
      this.file = place.file;
      this.offset = place.offset;
    }
    if (place.failed?.length) this.failed = place.failed;
  }

  /** From what the wasm throws, what a worker sends, or anything else that was thrown. */
  static from(error) {
    if (error instanceof EskerError) return error;
    const message = String(error?.message ?? error);
    if (typeof error?.code === "string") return new EskerError(error.code, message, error);
    // A trap: the engine has panicked, and its message is in the console.
    return new EskerError("bug", `Esker has failed: ${message}; open the store anew, and please report it`);
  }

  /** What can be sent to another thread. */
  plain() {
    return { code: this.code, message: this.message, file: this.file, offset: this.offset, failed: this.failed };
  }
}
