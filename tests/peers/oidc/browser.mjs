// A browser for the pages of the peer: opens a page, fills in its forms, and follows redirects. Prints the last page.
//   node browser.mjs URI [USER-CODE]
const [, , start, code] = process.argv;
const cookies = new Map();
const values = { login: 'ken', password: 'any', user_code: code };

async function open(address, form) {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await fetch(address, {
    redirect: 'manual',
    method: form ? 'POST' : 'GET',
    headers: { cookie, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) },
    body: form,
  });
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    cookies.set(name, value);
  }
  return response;
}

let [address, form] = [start, undefined];
for (let step = 0; step < 30; step += 1) {
  const response = await open(address, form);
  form = undefined;
  const target = response.headers.get('location');
  const page = await response.text();
  if (target) {
    address = new URL(target, address).href;
    continue;
  }
  const found = /<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/.exec(page);
  if (!response.ok || !found) {
    console.log(page.replace(/<style>[\s\S]*?<\/style>|<[^>]*>/g, ' ').replace(/\s+/g, ' '));
    process.exit(response.ok ? 0 : 1);
  }
  form = new URLSearchParams();
  for (const [input] of found[2].matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    if (name) form.set(name, /value="([^"]*)"/.exec(input)?.[1] || values[name] || '');
  }
  address = new URL(found[1].replaceAll('&amp;', '&'), address).href;
}
console.log('too many pages');
process.exit(1);
