// The search runs in a web worker, which browsers refuse to pages opened from the disk. There a
// hidden frame does its work. (The theme's own stand-in would be fetched from another host.)
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inside = frame.contentWindow
      const inner = frame.contentDocument
      inner.open() // so that no browser loads an empty page over this one later
      inner.write("<body></body>")
      inner.close()
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inner.createElement("script")
      script.src = url
      this.ready = new Promise((loaded) => (script.onload = loaded))
      inner.body.append(script)
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {}
  }
}
