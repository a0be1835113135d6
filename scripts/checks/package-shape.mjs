import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TSC } from '../lib/build.mjs';
import { readPackage } from '../lib/package.mjs';
import { filesUnder, ROOT } from '../lib/paths.mjs';
import { run } from '../lib/run.mjs';

/**
 * What users get: the package is packed, judged by publint and attw, and then used as a stranger would use it, in a
 * folder with nothing else in it, not even the optional dependencies.
 *
 * @param {string} root
 * @returns {Promise<import('../lib/checking.mjs').Finding>}
 */
export async function checkPackageShape(root) {
  const folder = mkdtempSync(path.join(tmpdir(), 'guestmem-package-'));
  try {
    const packed = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
      cwd: root,
    });
    const name = readdirSync(folder).find((file) => file.endsWith('.tgz'));
    if (packed.status !== 0 || name === undefined)
      return { problems: [`npm pack failed\n${packed.output}`], summary: '' };
    const tarball = path.join(folder, name);
    const bin = path.join(ROOT, 'node_modules/.bin');

    /** @type {string[]} */
    const problems = [];
    const publint = await run(path.join(bin, 'publint'), ['run', tarball, '--strict'], { cwd: root });
    if (publint.status !== 0) problems.push(`publint: ${publint.output.trim()}`);
    const attw = await run(
      path.join(bin, 'attw'),
      [tarball, '--profile', 'esm-only', '--no-color', '--format', 'ascii'],
      {
        cwd: root,
      },
    );
    if (attw.status !== 0) problems.push(`attw: ${attw.output.trim()}`);

    const unpacked = await run('tar', ['-xzf', tarball, '-C', folder]);
    if (unpacked.status !== 0) return { problems: [...problems, unpacked.output], summary: '' };
    const files = filesUnder(folder, 'package');
    for (const file of files) {
      if (
        !/^package\/(?:dist\/(?:lib|src)\/|src\/|(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$)/.test(
          file,
        )
      ) {
        problems.push(`${file} does not belong in the package`);
      }
    }
    for (const wanted of ['README.md', 'LICENSE', 'CHANGELOG.md']) {
      if (!files.includes(`package/${wanted}`)) problems.push(`${wanted} is missing from the package`);
    }
    problems.push(...(await useIt(folder, root)));
    return { problems, summary: `${files.length} files packed; publint, attw and a bare project agree` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Imports every face, and compiles against it with an es2022 library and no other types: what a user's project may have.
 *
 * @param {string} folder that holds the unpacked package
 * @param {string} root
 * @returns {Promise<string[]>} problems
 */
async function useIt(folder, root) {
  const { name, exports } = readPackage(root);
  const faces = Object.entries(exports).filter(([, target]) => typeof target !== 'string');
  const specifiers = faces.map(([subpath]) => `${name}${subpath.slice(1)}`);
  const user = path.join(folder, 'user');
  mkdirSync(path.join(user, 'node_modules'), { recursive: true });
  const moved = await run('mv', [path.join(folder, 'package'), path.join(user, 'node_modules', name)]);
  if (moved.status !== 0) return [moved.output];
  const program = specifiers.map((specifier, at) => `import * as face${at} from '${specifier}';\n`).join('');
  const used = `for (const face of [${specifiers.map((_, at) => `face${at}`).join(', ')}]) if (Object.keys(face).length === 0) throw new Error('An empty face');\n`;
  writeFileSync(path.join(user, 'package.json'), JSON.stringify({ name: 'user', type: 'module' }));
  writeFileSync(path.join(user, 'user.ts'), program + used);
  writeFileSync(path.join(user, 'run.js'), program + used);

  /** @type {string[]} */
  const problems = [];
  const ran = await run(process.execPath, [path.join(user, 'run.js')], { cwd: user });
  if (ran.status !== 0) problems.push(`A bare project cannot import the package:\n${ran.output.trim()}`);
  const options = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2022',
    '--noEmit',
    '--pretty',
    'false',
  ];
  const compiled = await run(
    process.execPath,
    [TSC, ...options, '--types', '', '--skipLibCheck', 'false', 'user.ts'],
    {
      cwd: user,
    },
  );
  if (compiled.status !== 0)
    problems.push(`A project on the es2022 library cannot compile against it:\n${compiled.output.trim()}`);
  return problems;
}
