// Calls flow `names` of a running node: writes, reads back, reads a table.
//
//     anabranch run flows/names.flow --listen 127.0.0.1:7171
//     cd examples/clients && npm install && npx tsx names.ts 127.0.0.1:7171

import { fileURLToPath } from "node:url";
import { credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const file = fileURLToPath(new URL("../../flows/names.proto", import.meta.url));
const loaded = loadPackageDefinition(loadSync(file, { longs: Number, defaults: true })) as any;

const address = process.argv[2] ?? "127.0.0.1:7171";
const names = new loaded.anabranch.names.Names(address, credentials.createInsecure());

/** Calls a method that takes one message and gives one. */
function call<T>(method: string, message: object): Promise<T> {
  return new Promise((resolve, reject) => {
    names[method](message, (error: ServiceError | null, reply: T) => (error ? reject(error) : resolve(reply)));
  });
}

type Output = { sourcenode: string; name: string; value: string; found: boolean };

// One row, and what became of it: rejected when it is refused.
await call("UpdateStream", { name: "a", value: "1" });

// One question, and its replies.
const reply = await call<{ outputStream: Output[] }>("ReadStream", { name: "a" });
for (const output of reply.outputStream) {
  console.log(`${output.name} = ${output.value} (found: ${output.found}, by ${output.sourcenode})`);
}

// A row of the table.
const row = await call<{ value: string }>("GetQueryTable", { name: "a" });
console.log(row.value);

names.close();
