// Grey words at the cursor, from one `nwp suggest --stdin` that is kept running: a line in, a line out.

const vscode = require("vscode");
const { spawn } = require("node:child_process");
const readline = require("node:readline");

const DOCUMENTS = ["plaintext", "markdown", "git-commit"].map((language) => ({ language }));
let child = null;
let waiting = []; // who waits for an answer, in the order of the questions

function start() {
  const [program, ...args] = vscode.workspace.getConfiguration("nwp").get("command");
  child = spawn(program, args, { stdio: ["pipe", "pipe", "ignore"] });
  const over = () => {
    child = null;
    for (const answer of waiting.splice(0)) answer(null);
  };
  child.on("error", (error) => {
    vscode.window.showWarningMessage(`nwp can't be started: ${error.message}`);
    over();
  });
  child.on("exit", over);
  child.stdin.on("error", () => {}); // it has ended: `exit` tells
  readline.createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line)));
}

function ask(text) {
  if (!child) start();
  return new Promise((answer) => {
    waiting.push(answer);
    child.stdin.write(`${text}\n`);
  });
}

// The letters, digits and apostrophes that the text ends in.
function half(text) {
  return /[\p{L}\p{N}'’]*$/u.exec(text)[0];
}

async function provideInlineCompletionItems(document, position, _context, token) {
  const line = document.lineAt(position);
  const before = line.text.slice(0, position.character);
  if (line.text.slice(position.character).trim()) return []; // in the middle of a line
  const found = await ask(before);
  const best = found?.suggestions?.[0];
  const least = vscode.workspace.getConfiguration("nwp").get("least");
  if (!best || best.probability < least || token.isCancellationRequested) return [];
  const start = position.translate(0, -half(before).length);
  return [new vscode.InlineCompletionItem(best.word, new vscode.Range(start, position))];
}

exports.activate = (context) => {
  const provider = { provideInlineCompletionItems };
  context.subscriptions.push(vscode.languages.registerInlineCompletionItemProvider(DOCUMENTS, provider));
};

exports.deactivate = () => child?.kill();
