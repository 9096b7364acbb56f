// Lists definitions of TypeScript files with the TypeScript compiler's own parser.
// usage: node definitions.cjs TYPESCRIPT_MODULE ROOT < paths, one a line > JSON lines [kind, name, path, line, character]
const ts = require(process.argv[2]);
const fs = require("fs");
const path = require("path");
const root = process.argv[3];
for (const file of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const source = ts.createSourceFile(file, fs.readFileSync(path.join(root, file), "utf8"), ts.ScriptTarget.Latest, true);
  const add = (kind, name) => {
    const at = source.getLineAndCharacterOfPosition(name.getStart(source));
    console.log(JSON.stringify([kind, name.text, file, at.line, at.character]));
  };
  const exported = (node) => (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Export) !== 0;
  for (const node of source.statements) {
    if (ts.isVariableStatement(node) && node.modifiers?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword)) {
      for (const item of node.declarationList.declarations) if (ts.isIdentifier(item.name)) add("export", item.name);
    } else if (node.name && ts.isIdentifier(node.name) && exported(node)) add("export", node.name);
    if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
      const seen = new Set();
      for (const member of node.members)
        if (member.name && ts.isIdentifier(member.name) && !seen.has(member.name.text)) {
          seen.add(member.name.text);
          add("member", member.name);
        }
    }
  }
}
