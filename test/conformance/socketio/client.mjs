// The stock client, driven line by line: commands come as JSON on standard input, and what happens
// goes as JSON to standard output.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, path, transports] = process.argv.slice(2);
const say = (event, detail = {}) => console.log(JSON.stringify({ event, ...detail }));

let socket;
const commands = {
  connect({ auth, namespace = "" }) {
    socket = io(url + namespace, {
      path,
      auth,
      transports: transports.split(","),
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
    });
    const transport = () => socket.io.engine?.transport.name;
    socket.on("connect", () => say("connect", { id: socket.id, recovered: socket.recovered, transport: transport() }));
    socket.on("connect_error", (e) => say("connect_error", { message: e.message }));
    socket.on("disconnect", (reason) => say("disconnect", { reason }));
    socket.onAny((name, data) => say("received", { name, data, size: JSON.stringify(data).length }));
    socket.io.on("open", () => {
      const engine = socket.io.engine;
      engine.on("upgrade", () => say("upgrade", { transport: engine.transport.name }));
    });
  },
  emit({ name, args, ack, bytes }) {
    const list = bytes ? [{ ...args[0], bytes: Buffer.alloc(bytes, 7), more: Buffer.from("x") }] : args;
    if (!ack) {
      socket.emit(name, ...list);
      return;
    }
    socket.timeout(10000).emit(name, ...list, (err, data) => say("ack", { name, data, message: err?.message }));
  },
  // As when the network fails: the client did not mean to leave.
  break() {
    socket.io.engine.transport.doClose();
    socket.io.engine.transport.onClose();
  },
  disconnect() {
    socket.disconnect();
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));
say("ready");
