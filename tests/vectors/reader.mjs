// Checks a softmax and an Adam, as one writes them in plain JavaScript, against test vectors: node reader.mjs DIR [MISTAKE]
import { readFileSync } from "node:fs";

const [folder, mistake] = process.argv.slice(2);
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const number = (text) => ({ nan: NaN, inf: Infinity, "-inf": -Infinity })[text] ?? Number(text);
const numbers = (array) => array.decimal.map(number);
const setting = (value) => (value?.decimal === undefined ? value : number(value.decimal));

function hexadecimal(text) {
  const [, sign, whole, digits, exponent] = /^(-?)0x([01])\.([0-9a-f]*)p([+-]\d+)$/.exec(text);
  const size = parseInt(whole + digits, 16) * 2 ** (-4 * digits.length);
  return (sign ? -1 : 1) * size * 2 ** Math.trunc(exponent / 2) * 2 ** (exponent - Math.trunc(exponent / 2));
}

function wrong(array, allowed, got) {
  const expected = numbers(array), bounds = numbers(allowed);
  return expected.filter((e, i) => !(Object.is(e, got[i]) || e === got[i] || Math.abs(e - got[i]) <= bounds[i])).length;
}

function softmaxRow(x) {
  const top = mistake === "unstable" ? 0 : Math.max(...x);
  const e = x.map((v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

function softmax(x, [rows, columns]) {
  return Array.from({ length: rows }, (_, i) => softmaxRow(x.slice(i * columns, (i + 1) * columns))).flat();
}

function adam(start, gradients, { lr = 0.001, betas = [0.9, 0.999], eps = 1e-8 }) {
  let p = [...start], m = p.map(() => 0), v = p.map(() => 0);
  return gradients.flatMap((g, k) => {
    m = m.map((value, i) => betas[0] * value + (1 - betas[0]) * g[i]);
    v = v.map((value, i) => betas[1] * value + (1 - betas[1]) * g[i] ** 2);
    const [c, d] = mistake === "uncorrected" ? [1, 1] : [1 - betas[0] ** (k + 1), 1 - betas[1] ** (k + 1)];
    p = p.map((value, i) => value - ((lr / c) * m[i]) / (Math.sqrt(v[i] / d) + eps));
    return p;
  });
}

let checked = 0, failed = 0;
for (const vector of read("softmax").vectors) {
  const { shape } = vector.inputs.x, axis = setting(vector.settings.dim);
  if (vector.run !== "forward" || shape.length !== 2 || !(axis === undefined || axis === 1 || axis === -1)) continue;
  checked += 1;
  failed += wrong(vector.outputs.output, vector.allowed.output, softmax(numbers(vector.inputs.x), shape)) > 0;
}
for (const vector of read("adam").vectors) {
  const known = ["lr", "betas", "eps"], { params, steps, groups } = vector.inputs;
  const plain = steps.every((step) => Object.keys(step).length === 1 && step.grads.every((g) => g !== null));
  if (groups || !plain || !Object.keys(vector.settings).every((name) => known.includes(name))) continue;
  const entries = Object.entries(vector.settings).map(([name, v]) => [name, Array.isArray(v) ? v.map(setting) : setting(v)]);
  params.forEach((param, place) => {
    const got = adam(numbers(param), steps.map((step) => numbers(step.grads[place])), Object.fromEntries(entries));
    checked += 1;
    failed += wrong(vector.outputs[`param${place}`], vector.allowed[`param${place}`], got) > 0;
  });
  for (const param of params) {
    failed += param.hex.some((text, i) => Number.isFinite(number(param.decimal[i])) && hexadecimal(text) !== number(param.decimal[i]));
  }
}
console.log(JSON.stringify({ checked, failed }));
